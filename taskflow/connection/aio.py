"""The asyncio driver: carries out the steps of plans on one event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from .asking import ainquire
from .driver import TROUBLE, Driver
from .faults import is_timeout
from .greeting import greeting
from .inquiry import Inquiry
from .nodes import async_node
from .plans import executing
from .settings import resolve, topology_of
from .steps import Answer, Broken, Request, Trip
from .topology import Address, Topology
from .url import BrokerURL


class AsyncDriver(Driver):
    """Sends requests to the nodes of one broker, from coroutines of one event loop.

    Args:
        url: the broker, as a URL or parsed. Nothing is connected before the first request.
    """

    def __init__(self, url: str | BrokerURL) -> None:
        super().__init__()
        self._given = url
        self._url: BrokerURL | None = None
        self._topology: Topology | None = None
        self._looking: asyncio.Task[None] | None = None

    async def open(self) -> Topology:
        """Resolve the URL; an embedded server is started in a thread if it does not run yet."""
        if self._topology is None:
            url = await asyncio.to_thread(resolve, self._given)
            if self._topology is None:
                self._url, self._topology = url, topology_of(url)
        return self._topology

    @property
    def url(self) -> BrokerURL:
        """The broker's URL, once `open` has been awaited or a request has been sent."""
        assert self._url is not None, "open() the driver first"
        return self._url

    async def execute(
        self, requests: Sequence[Request], timeout: float, meanwhile: Callable[[], None] | None = None
    ) -> list[Any]:
        """Send the requests, one pipeline per node, and wait for their replies; as `SyncDriver.execute`."""
        topology = self._topology or await self.open()
        deadline = time.monotonic() + timeout
        first: tuple[Address, Answer] | None = None
        if len(requests) == 1:
            request = requests[0]
            address = None if request.durable else topology.ready(request.node, request.slot)
            if address is not None:
                wire = request.first_wire or request.wire(full=False, resent=False)
                trips = [Trip(address, [wire], request.movable)]
                (answer,) = await self._travel(trips, deadline, meanwhile)
                if not isinstance(answer, Broken) and not isinstance(answer[0], TROUBLE):
                    return [request.parse(answer[0])]
                first, meanwhile = (address, answer), None
        steps = executing(requests, topology, deadline, time.monotonic, first)
        return await self._carry_out(steps, deadline, meanwhile)

    def owner(self, slot: int) -> Address | None:
        """The node that owns `slot`, as far as known now; nobody is asked."""
        return self._topology.owner(slot) if self._topology is not None else None

    async def connect(self, slot: int | None, timeout: float) -> Any:
        """A connection of the caller's own to the owner of `slot`, for blocking and subscribing; the caller
        closes it.
        """
        return await self._connected(slot, timeout)

    async def lost(self, connection: Any, error: Exception, timeout: float) -> None:
        """A connection of `connect` broke, or was silent: look at the topology anew. The idle ones to its node are given up."""
        topology, now = await self.open(), time.monotonic()
        topology.missed(connection.address, now)
        if is_timeout(error):
            topology.mark_slow(connection.address, now)
        self._forget(connection.address)
        await self._refresh(topology.generation, now + timeout)

    async def refresh(self, timeout: float) -> None:
        """Look at the topology anew: for loops that wait on a connection of their own."""
        topology = await self.open()
        await self._refresh(topology.generation, time.monotonic() + timeout)

    async def masters(self, timeout: float) -> list[Address]:
        """The masters of the cluster, or the one server."""
        return await self._known_masters(timeout)

    async def close(self) -> None:
        """Close the idle connections. The driver can be used again."""
        self.drop()

    def drop(self) -> None:
        """As `close`, where nothing can be awaited, while the driver's event loop is not closed."""
        self._drop_idle()
        if self._looking is not None:
            self._looking.cancel()

    def abandon(self) -> None:
        """Close the idle connections of an event loop that is closed, and so cannot do it."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            for connection in pool:
                connection.reader.abandon()
                # As its own `disconnect` does, which needs the loop.
                connection._reader = connection._writer = None

    # --- how a coroutine waits ------------------------------------------------------------------------------

    async def _resolved(self) -> Topology:
        return await self.open()

    def _new(self, address: Address) -> Any:
        assert self._topology is not None
        return async_node(self.url, address, greeting(self.url, self._topology, address))

    async def _travel(
        self, trips: Sequence[Trip], deadline: float, meanwhile: Callable[[], None] | None = None
    ) -> list[Answer]:
        if len(trips) == 1 and meanwhile is None:
            return [await self._trip(trips[0], deadline)]
        under_way = [asyncio.create_task(self._trip(trip, deadline)) for trip in trips]
        try:
            if meanwhile is not None:
                await asyncio.sleep(0)  # lets them send
                meanwhile()
            return list(await asyncio.gather(*under_way))
        finally:
            for one in under_way:
                one.cancel()

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _look(self, topology: Topology, generation: int, deadline: float, *, doubt: bool) -> None:
        look = self._looking
        if look is None or look.done():
            now = time.monotonic()
            inquiry = Inquiry(topology, self.url, doubt=doubt, now=now, deadline=deadline)
            # A task of its own: whoever has less time than the others, or is cancelled, does not end it for them.
            self._looking = look = asyncio.create_task(ainquire(inquiry, self.url))
            look.add_done_callback(_heard)
        await asyncio.wait([look], timeout=max(deadline - time.monotonic(), 0.0))
        if look.done() and not look.cancelled():
            look.result()


def _heard(look: asyncio.Task[None]) -> None:
    """Its error is nobody's, when nobody waits for it any more."""
    if not look.cancelled():
        look.exception()

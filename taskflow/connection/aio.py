"""The asyncio driver: carries out the steps of a retry plan on one event loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any

from redis import exceptions as redis_errors

from ..errors import BrokerUnavailable
from .asking import ainquire
from .faults import is_timeout
from .greeting import greeting
from .inquiry import Inquiry
from .nodes import async_node
from .plans import connecting, executing
from .settings import IDLE_CONNECTIONS, IDLE_SECONDS, pack, resolve, topology_of
from .steps import Answer, Broken, Open, Pause, Refresh, Request, Step, Trip, Trips
from .topology import Address, Topology
from .url import BrokerURL

_ERRORS = (redis_errors.RedisError, OSError, EOFError)
"""What a connection raises; among them what the server says to the login and to the choice of a database."""


class AsyncDriver:
    """Sends requests to the nodes of one broker, from coroutines of one event loop.

    Args:
        url: the broker, as a URL or parsed. Nothing is connected before the first request.
    """

    def __init__(self, url: str | BrokerURL) -> None:
        self._given = url
        self._url: BrokerURL | None = None
        self._topology: Topology | None = None
        self._pools: dict[Address, deque[Any]] = {}
        self._look: asyncio.Task[None] | None = None

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
                trip = Trip(
                    address, [request.first_wire or request.wire(full=False, resent=False)], request.movable
                )
                if meanwhile is None:
                    answer = await self._trip(trip, deadline)
                else:
                    answer = (await self._travel([trip], deadline, meanwhile))[0]
                if not (isinstance(answer, Broken) or isinstance(answer[0], Exception)):
                    return [request.parse(answer[0])]
                first, meanwhile = (address, answer), None
        steps = executing(requests, topology, deadline, time.monotonic, first)
        return await self._carry_out(steps, deadline, meanwhile)  # type: ignore[no-any-return]

    async def _carry_out(
        self, steps: Generator[Step, Any, Any], deadline: float, meanwhile: Callable[[], None] | None = None
    ) -> Any:
        done: Any = None
        while True:
            try:
                step, done = steps.send(done), None
            except StopIteration as end:
                return end.value
            match step:
                case Trips(trips):
                    done, meanwhile = await self._travel(trips, deadline, meanwhile), None
                case Refresh(generation, doubt):
                    await self._refresh(generation, deadline, doubt=doubt)
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                case Open(address, until):
                    done = await self._open(address, until)

    def owner(self, slot: int) -> Address | None:
        """The node that owns `slot`, as far as known now; nobody is asked."""
        return self._topology.owner(slot) if self._topology is not None else None

    async def connect(self, slot: int | None, timeout: float) -> Any:
        """A connection of the caller's own to the owner of `slot`, for blocking and subscribing; the caller
        closes it.
        """
        deadline = time.monotonic() + timeout
        topology = await self.open()
        return await self._carry_out(connecting(topology, self.url, slot, deadline, time.monotonic), deadline)

    async def lost(self, connection: Any, error: Exception, timeout: float) -> None:
        """A connection of `connect` broke, or was silent: look at the topology anew. The idle ones to its node are given up."""
        topology, now = await self.open(), time.monotonic()
        topology.missed(connection.address, now)
        if is_timeout(error):
            topology.mark_slow(connection.address, now)
        await self._forget(connection.address)
        await self._refresh(topology.generation, now + timeout)

    async def refresh(self, timeout: float) -> None:
        """Look at the topology anew: for loops that wait on a connection of their own."""
        topology = await self.open()
        await self._refresh(topology.generation, time.monotonic() + timeout)

    async def masters(self, timeout: float) -> list[Address]:
        """The masters of the cluster, or the one server."""
        topology = await self.open()
        if topology.cluster or not topology.known:
            await self.refresh(timeout)
        if not topology.masters():
            raise BrokerUnavailable(f"no node of {self.url} answers")
        return topology.masters()

    async def close(self) -> None:
        """Close the idle connections. The driver can be used again."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            for connection in pool:
                # Not as usual: TLS would say goodbye in later turns of a loop that may be closed by then.
                await connection.drop()
        if self._look is not None:
            self._look.cancel()

    def abandon(self) -> None:
        """Close the idle connections of an event loop that is closed, and so cannot do it."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            for connection in pool:
                connection.reader.abandon()
                # As its own `disconnect` does, which needs the loop.
                connection._reader = connection._writer = None

    # --- trips ----------------------------------------------------------------------------------------------

    async def _travel(
        self, trips: Sequence[Trip], deadline: float, meanwhile: Callable[[], None] | None = None
    ) -> list[Answer]:
        if meanwhile is None:
            if len(trips) == 1:
                return [await self._trip(trips[0], deadline)]
            return list(await asyncio.gather(*(self._trip(trip, deadline) for trip in trips)))
        going = asyncio.gather(*(self._trip(trip, deadline) for trip in trips))
        await asyncio.sleep(0)  # lets them send
        try:
            meanwhile()
        except BaseException:
            going.cancel()
            raise
        return list(await going)

    async def _trip(self, trip: Trip, deadline: float) -> Answer:
        sent = False
        replies: list[Any] = []
        data = pack(trip.wires)
        connection = self._take(trip.address)
        topology = self._topology
        assert topology is not None
        if connection.is_connected and connection.reader.was_closed():
            await connection.drop()
        try:
            if not connection.is_connected:
                await connection.open(topology.open_deadline(trip.address, deadline, time.monotonic()))
            sent = True
            connection.reader.send(data)
            until = topology.trip_deadline(trip.address, deadline, time.monotonic())
            await connection.reader.replies(replies, len(trip.wires), until, connection.socket_timeout)
        except _ERRORS as error:
            await connection.drop()
            await self._forget(trip.address)
            return Broken(error, sent=sent, replies=replies)
        except BaseException:
            # Cancelled in mid-exchange: the reply is still to come, so nobody may use this connection again
            # (redis-py's CVE-2023-28858).
            await connection.drop()
            raise
        await self._give_back(trip.address, connection)
        return replies

    def _take(self, address: Address) -> Any:
        pool = self._pools.get(address)
        return pool.pop() if pool else self._new(address)

    def _new(self, address: Address) -> Any:
        assert self._topology is not None
        return async_node(self.url, address, greeting(self.url, self._topology, address))

    async def _open(self, address: Address, until: float) -> Any:
        connection = self._new(address)
        try:
            await connection.open(until)
        except _ERRORS as error:
            return Broken(error, sent=False)
        return connection

    async def _give_back(self, address: Address, connection: Any) -> None:
        pool = self._pools.setdefault(address, deque())
        connection.last_used = now = time.monotonic()
        pool.append(connection)
        # The last one back is the first one taken, so the first one here is the one that was least needed.
        if len(pool) > IDLE_CONNECTIONS or now - pool[0].last_used > IDLE_SECONDS:
            await pool.popleft().disconnect(nowait=True)

    async def _forget(self, address: Address) -> None:
        """A broken connection: the idle ones to the same node are most likely dead too."""
        for connection in self._pools.pop(address, ()):
            await connection.drop()

    # --- topology -------------------------------------------------------------------------------------------

    async def _refresh(self, generation: int, deadline: float, *, doubt: bool = True) -> None:
        """Learn the owners anew: one look at a time, and only if nobody has looked since `generation`. As in `SyncDriver`."""
        topology = await self.open()
        if self.url.kind in ("single", "unix"):
            await self.close()
            return
        if topology.generation != generation:
            return
        look = self._look
        if look is None or look.done():
            now = time.monotonic()
            inquiry = Inquiry(topology, self.url, doubt=doubt, now=now, deadline=deadline)
            # A task of its own: whoever has less time than the others, or is cancelled, does not end it for them.
            self._look = look = asyncio.create_task(ainquire(inquiry, self.url))
            look.add_done_callback(_heard)
        await asyncio.wait([look], timeout=max(deadline - time.monotonic(), 0.0))
        if look.done() and not look.cancelled():
            look.result()


def _heard(look: asyncio.Task[None]) -> None:
    """Its error is nobody's, when nobody waits for it any more."""
    if not look.cancelled():
        look.exception()

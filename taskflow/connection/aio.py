"""The asyncio driver: carries out the steps of an exchange on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from redis import exceptions as redis_errors
from redis.asyncio import connection as redis_connection

from ..errors import BrokerUnavailable
from .channel import AsyncChannel, ask
from .discovery import learn, question, raise_if_unknown, refused, services_of, services_question
from .exchange import Exchange
from .refusals import refusal
from .settings import IDLE_CONNECTIONS, IDLE_SECONDS, arguments, pack, resolve, topology_of
from .steps import Answer, Broken, Pause, Refresh, Request, Trip, Trips, is_plain, lone
from .topology import Address, Topology
from .url import BrokerURL

_CONNECTION_ERRORS = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.InvalidResponse,  # something else than a Redis server answers on this port
    OSError,
    EOFError,
)
_CONNECTING_ERRORS = (redis_errors.RedisError, OSError, EOFError)
"""Also what the server says to the login and to the choice of a database."""


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
        self._refreshing: asyncio.Lock = asyncio.Lock()

    async def open(self) -> Topology:
        """Resolve the URL; an embedded server is started in a thread if it does not run yet."""
        if self._topology is None:
            url = await asyncio.to_thread(resolve, self._given)
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
        if not topology.known:
            await self._refresh(topology.generation, deadline)
        first: tuple[Address, Answer] | None = None
        if len(requests) == 1 and (trip := lone(requests[0], topology)) is not None:
            answer = (await self._travel([trip], deadline, meanwhile))[0]
            if is_plain(answer):
                topology.heard(trip.address)
                return [requests[0].read(answer[0])]
            first, meanwhile = (trip.address, answer), None
        steps = Exchange(requests, topology, deadline, time.monotonic).run(first)
        done: Any = None
        while True:
            try:
                step, done = steps.send(done), None
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            match step:
                case Trips(trips):
                    done, meanwhile = await self._travel(trips, deadline, meanwhile), None
                case Refresh(generation):
                    await self._refresh(generation, deadline)
                case Pause(seconds):
                    await asyncio.sleep(seconds)

    def owner(self, slot: int) -> Address | None:
        """The node that owns `slot`, as far as known now; nobody is asked."""
        return self._topology.owner(slot) if self._topology is not None else None

    async def connect(self, slot: int | None, timeout: float) -> Any:
        """A connection of the caller's own to the owner of `slot`, for blocking and subscribing; the caller
        closes it.
        """
        topology = await self.open()
        if topology.owner(slot) is None:
            await self._refresh(topology.generation, time.monotonic() + timeout)
        address = topology.owner(slot)
        if address is None:
            raise BrokerUnavailable(f"no node of {self.url} is known to own key slot {slot}")
        connection = self._new(address)
        try:
            await connection.connect()
        except _CONNECTING_ERRORS as error:
            await connection.disconnect(nowait=True)
            if (refused_us := refusal(self.url, address, error)) is not None:
                raise refused_us from error
            await self._refresh(topology.generation, time.monotonic() + timeout)
            raise BrokerUnavailable(f"{self.url}: {error}") from error
        return connection

    async def refresh(self, timeout: float) -> None:
        """Look at the topology anew: for loops that wait on a connection of their own."""
        topology = await self.open()
        await self._refresh(topology.generation, time.monotonic() + timeout)

    async def close(self) -> None:
        """Close the idle connections. The driver can be used again."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            for connection in pool:
                await connection.disconnect(nowait=True)

    def abandon(self) -> None:
        """Close the idle connections of an event loop that is closed, and so cannot do it."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            for connection in pool:
                connection.channel.abandon()
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
        if connection.is_connected and connection.channel.was_closed():
            await connection.disconnect(nowait=True)
        try:
            if not connection.is_connected:
                await connection.connect()
            sent = True
            connection.channel.send(data)
            assert self._topology is not None
            until = self._topology.trip_deadline(trip.address, deadline, time.monotonic())
            await connection.channel.replies(replies, len(trip.wires), until, connection.socket_timeout)
        except _CONNECTING_ERRORS as error:
            await connection.disconnect(nowait=True)
            await self._forget(trip.address)
            return Broken(error, sent=sent, replies=replies)
        except BaseException:
            # Cancelled in mid-exchange: the reply is still to come, so nobody may use this connection again
            # (redis-py's CVE-2023-28858).
            await connection.disconnect(nowait=True)
            raise
        await self._give_back(trip.address, connection)
        return replies

    def _take(self, address: Address) -> Any:
        pool = self._pools.get(address)
        return pool.pop() if pool else self._new(address)

    def _new(self, address: Address) -> Any:
        kind: Any = redis_connection.Connection
        if self.url.kind == "unix":
            kind = redis_connection.UnixDomainSocketConnection
        elif self.url.tls:
            kind = redis_connection.SSLConnection
        return kind(**arguments(self.url, address), parser_class=AsyncChannel)

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
            await connection.disconnect(nowait=True)

    # --- topology -------------------------------------------------------------------------------------------

    async def _refresh(self, generation: int, deadline: float) -> None:
        """Learn the owners anew: one coroutine at a time, and only if nobody has since `generation`."""
        topology = await self.open()
        if self.url.kind in ("single", "unix"):
            await self.close()
            return
        async with self._refreshing:
            if topology.generation != generation:
                return
            topology.strangers.clear()
            for address in list(topology.candidates()):
                if time.monotonic() >= deadline or await self._ask_owners(topology, address, deadline):
                    return
            raise_if_unknown(topology)

    async def _ask_owners(self, topology: Topology, address: Address, deadline: float) -> bool:
        sentinel = self.url.kind == "sentinel"
        if sentinel and address not in topology.seeds:
            return False
        kind: Any = redis_connection.SSLConnection if self.url.tls else redis_connection.Connection
        connection = kind(**arguments(self.url, address, sentinel=sentinel), parser_class=AsyncChannel)
        try:
            await connection.connect()
            reply = await ask(connection, min(1.0, deadline - time.monotonic()), pack([question(self.url)]))
            if sentinel and not reply:
                topology.strangers[address] = None
                with contextlib.suppress(redis_errors.ResponseError):
                    names = await ask(connection, 1.0, pack([services_question()]))
                    topology.strangers[address] = services_of(names)
        except _CONNECTING_ERRORS as error:
            if (refused_us := refused(self.url, address, error)) is not None:
                raise refused_us from error
            topology.problem = f"{address[0]}:{address[1]}: {error}"
            return False
        finally:
            await connection.disconnect(nowait=True)
        return learn(topology, reply, address, sentinel=sentinel)

"""What both drivers do, written once, as coroutines: how a trip to a node goes, what its end means, and who gets its connection.

`AsyncDriver` awaits them. `SyncDriver` runs them as if they were functions (`coroutines`): each of their steps blocks until it is
done. What either brings along is how to wait: for connections of its kind (`nodes`), for several trips at once, for a look at the
topology of which there is one at a time.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from redis import exceptions as redis_errors

from ..errors import BrokerUnavailable
from .coroutines import let_others_go_on
from .plans import connecting
from .settings import IDLE_CONNECTIONS, IDLE_SECONDS, pack
from .steps import Answer, Broken, Open, Pause, Refresh, Step, Trip, Trips
from .topology import Address, Topology
from .url import BrokerURL

T = TypeVar("T")

CONNECTION_ERRORS = (redis_errors.RedisError, OSError, EOFError)
"""What a connection raises; among them what the server says to the login and to the choice of a database."""

TROUBLE = (Exception, Broken)
"""What a trip of one command may have brought in the place of a reply that can be used."""


class Driver(ABC):
    """Carries out the steps of plans."""

    _topology: Topology | None

    def __init__(self) -> None:
        self._pools: dict[Address, deque[Any]] = {}

    # --- how a driver waits ---------------------------------------------------------------------------------

    @property
    @abstractmethod
    def url(self) -> BrokerURL:
        """The broker's URL, once it is resolved."""

    @abstractmethod
    async def _resolved(self) -> Topology:
        """The topology of the URL, which is resolved if nobody has done it yet."""

    @abstractmethod
    def _new(self, address: Address) -> Any:
        """A connection to a node, not opened yet."""

    @abstractmethod
    async def _travel(
        self, trips: Sequence[Trip], deadline: float, meanwhile: Callable[[], None] | None = None
    ) -> list[Answer]:
        """Make trips side by side. `meanwhile` is called once, when they are under way."""

    @abstractmethod
    async def _pause(self, seconds: float) -> None:
        """Wait."""

    @abstractmethod
    async def _look(self, topology: Topology, generation: int, deadline: float, *, doubt: bool) -> None:
        """Ask nodes who owns what: one look at a time, and only if there was none since `generation`."""

    # --- plans ----------------------------------------------------------------------------------------------

    async def _connected(self, slot: int | None, timeout: float) -> Any:
        topology = await self._resolved()
        deadline = time.monotonic() + timeout
        return await self._carry_out(connecting(topology, self.url, slot, deadline, time.monotonic), deadline)

    async def _known_masters(self, timeout: float) -> list[Address]:
        topology = await self._resolved()
        if topology.cluster or not topology.known:
            await self._refresh(topology.generation, time.monotonic() + timeout, doubt=False)
        if not topology.masters():
            raise BrokerUnavailable(f"no node of {self.url} answers")
        return topology.masters()

    async def _carry_out(
        self, steps: Generator[Step, Any, T], deadline: float, meanwhile: Callable[[], None] | None = None
    ) -> T:
        done: Any = None
        while True:
            try:
                step, done = steps.send(done), None
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            match step:
                case Trips(trips):
                    done, meanwhile = await self._travel(trips, deadline, meanwhile), None
                case Refresh(generation, doubt):
                    await self._refresh(generation, deadline, doubt=doubt)
                case Pause(seconds):
                    await self._pause(seconds)
                case Open(address, until):
                    done = await self._open(address, until)

    async def _refresh(self, generation: int, deadline: float, *, doubt: bool = True) -> None:
        """Learn the owners anew, if nobody has since `generation`.

        `doubt`: what was known has proved wrong, so no single node is believed.
        """
        topology = await self._resolved()
        if self.url.kind in ("single", "unix"):
            self._drop_idle()
        elif topology.generation == generation:
            await self._look(topology, generation, deadline, doubt=doubt)

    # --- trips ----------------------------------------------------------------------------------------------

    async def _trip(self, trip: Trip, deadline: float, together: bool = False) -> Answer:
        """One pipeline to one node and its replies, or why it did not end.

        `together`: let whoever drives this coroutine go on when everything is sent, so that others are sent before anybody waits.
        """
        address, topology = trip.address, self._topology
        assert topology is not None
        data = pack(trip.wires)
        replies: list[Any] = []
        sent = False
        now = time.monotonic()
        connection = self._take(address, now, trip.movable) or self._new(address)
        try:
            if not connection.is_connected:
                await connection.open(topology.open_deadline(address, deadline, now))
            sent = True
            connection.reader.send(data, deadline)
            del data  # what is made meanwhile can have its memory
            if together:
                await let_others_go_on()
            connection.used_at = now = time.monotonic()
            await connection.read(replies, len(trip.wires), topology.trip_deadline(address, deadline, now))
        except BaseException as error:
            if (broken := self._broken(address, connection, error, sent, replies)) is not None:
                return broken
            raise
        self._give_back(address, connection)
        return replies

    async def _open(self, address: Address, until: float) -> Any:
        """A connection that is the asker's own, or a `Broken`."""
        connection = self._new(address)
        try:
            await connection.open(until)
        except CONNECTION_ERRORS as error:
            return Broken(error, sent=False)
        return connection

    def _broken(
        self,
        address: Address,
        connection: Any,
        error: BaseException,
        sent: bool = True,
        replies: Sequence[Any] = (),
    ) -> Broken | None:
        """What comes of a trip that an error has ended; None: the error is the caller's, who was interrupted or cancelled.

        In any case nobody may use the connection again: half a command may be sent on it, or its reply be still to come, which
        would be taken for that of the next command (redis-py's CVE-2023-28858).
        """
        if not isinstance(error, CONNECTION_ERRORS):
            connection.drop()
            return None
        self._give_up(address, connection)
        return Broken(error, sent=sent, replies=replies)

    # --- connections ----------------------------------------------------------------------------------------

    def _take(self, address: Address, now: float, movable: bool) -> Any:
        """A connection that nobody uses; None: there is none."""
        try:
            connection = self._pools[address].pop()
        except (KeyError, IndexError):
            return None
        if connection.reader.was_closed(now - connection.used_at, movable):
            self._give_up(address, connection)
            return None
        return connection

    def _give_back(self, address: Address, connection: Any) -> None:
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools.setdefault(address, deque())
        pool.append(connection)
        if len(pool) > 1:
            self._thin_out(pool, connection.used_at)

    def _thin_out(self, pool: deque[Any], now: float) -> None:
        """Close a connection that is not needed any more. The last one back is the first one taken, so the first one here is the
        one that was least needed.
        """
        with suppress(IndexError):  # other threads have taken them meanwhile
            if len(pool) > IDLE_CONNECTIONS or now - pool[0].used_at > IDLE_SECONDS:
                pool.popleft().drop()

    def _give_up(self, address: Address, connection: Any) -> None:
        """A connection is broken: the idle ones to the same node are most likely dead too."""
        connection.drop()
        self._forget(address)

    def _forget(self, address: Address) -> None:
        """Close the idle connections to a node."""
        if (pool := self._pools.pop(address, None)) is not None:
            _empty(pool)

    def _drop_idle(self) -> None:
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            _empty(pool)


def _empty(pool: deque[Any]) -> None:
    """Close its connections, while other threads may still take some, or give some back."""
    with suppress(IndexError):
        while True:
            pool.pop().drop()

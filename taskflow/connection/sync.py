"""The synchronous driver: carries out the steps of a retry plan on blocking sockets, from any thread."""

from __future__ import annotations

import os
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any

from hiredis import pack_command
from redis import exceptions as redis_errors

from ..errors import BrokerUnavailable
from .asking import inquire
from .greeting import greeting
from .inquiry import Inquiry
from .nodes import node
from .plans import connecting, executing
from .resolving import Resolving
from .settings import IDLE_CONNECTIONS, pack
from .steps import Answer, Broken, Open, Pause, Refresh, Request, Step, Trip, Trips, Wire
from .topology import Address
from .url import BrokerURL

_CONNECTION_ERRORS = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.InvalidResponse,  # something else than a Redis server answers on this port
    OSError,
)

_CONNECTING_ERRORS = (redis_errors.RedisError, OSError)
"""Also what the server says to the login and to the choice of a database."""

_TROUBLE = (Exception, Broken)

LOOK_AFTER = 0.05
"""Seconds after which a connection may have been closed by the node while nobody looked."""


class SyncDriver(Resolving):
    """Sends requests to the nodes of one broker.

    Args:
        url: the broker, as a URL or parsed. Nothing is connected before the first request.
    """

    def __init__(self, url: str | BrokerURL) -> None:
        super().__init__(url)
        _drivers.add(self)

    def _begin(self) -> None:
        super()._begin()
        self._pools: dict[Address, deque[Any]] = {}
        self._looked_at = 0.0

    def execute(
        self, requests: Sequence[Request], timeout: float, meanwhile: Callable[[], None] | None = None
    ) -> list[Any]:
        """Send the requests, one pipeline per node, and wait for their replies.

        Args:
            requests: what to send.
            timeout: seconds for everything together: connecting, redirections, fail-overs, repetitions.
            meanwhile: called once, when the requests are under way and before their replies are read.

        Returns:
            For each request its value, or the `BrokerError` that stands in its place.
        """
        topology = self._topology or self.topology
        now = time.monotonic()
        deadline = now + timeout
        first: tuple[Address, Answer] | None = None
        if len(requests) == 1:
            request = requests[0]
            address = None if request.durable else topology.ready(request.node, request.slot)
            if address is not None:
                wire = request.first_wire or request.wire(full=False, resent=False)
                connection = self._idle(address, now, movable=request.movable) if meanwhile is None else None
                if connection is not None:
                    reply = self._ask(address, connection, wire, now, deadline)
                else:
                    answer = self._travel([Trip(address, [wire], request.movable)], deadline, meanwhile)[0]
                    reply, meanwhile = answer if isinstance(answer, Broken) else answer[0], None
                if not isinstance(reply, _TROUBLE):
                    return [request.parse(reply)]
                first = address, reply if isinstance(reply, Broken) else [reply]
        steps = executing(requests, topology, deadline, time.monotonic, first)
        return self._carry_out(steps, deadline, meanwhile)  # type: ignore[no-any-return]

    def _carry_out(
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
                    done, meanwhile = self._travel(trips, deadline, meanwhile), None
                case Refresh(generation, doubt):
                    self._refresh(generation, deadline, doubt=doubt)
                case Pause(seconds):
                    time.sleep(seconds)
                case Open(address, until):
                    done = self._open(address, until)

    def owner(self, slot: int) -> Address | None:
        """The node that owns `slot`, as far as known now; nobody is asked."""
        return self._topology.owner(slot) if self._topology is not None else None

    def masters(self, timeout: float) -> list[Address]:
        """The masters of the cluster, or the one server."""
        topology = self.topology
        if topology.cluster or not topology.known:
            self._refresh(topology.generation, time.monotonic() + timeout, doubt=False, force=True)
        if not topology.masters():
            raise BrokerUnavailable(f"no node of {self.url} answers")
        return topology.masters()

    def connect(self, slot: int | None, timeout: float) -> Any:
        """A connection of the caller's own to the owner of `slot`, for blocking and subscribing; the caller
        closes it.
        """
        topology, deadline = self.topology, time.monotonic() + timeout
        return self._carry_out(connecting(topology, self.url, slot, deadline, time.monotonic), deadline)

    def close(self) -> None:
        """Close the idle connections. The driver can be used again."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            for connection in pool:
                connection.disconnect()

    # --- trips ----------------------------------------------------------------------------------------------

    def _ask(self, address: Address, connection: Any, wire: Wire, now: float, deadline: float) -> Any:
        """A trip of one command on an idle connection: its reply, an error of the server, or a `Broken`."""
        try:
            data = pack_command(wire)
        except UnicodeEncodeError:
            data = pack([wire])
        try:
            reply = connection.reader.ask(data, now, deadline)
        except _CONNECTION_ERRORS as error:
            return self._cut(address, connection, error)
        except BaseException:
            # Interrupted before the reply: it would be taken for that of the next command.
            connection.disconnect()
            raise
        connection.used_at = now
        self._give_back(address, connection)
        return reply

    def _travel(
        self, trips: Sequence[Trip], deadline: float, meanwhile: Callable[[], None] | None = None
    ) -> list[Answer]:
        departed = [self._depart(trip, deadline) for trip in trips]
        if meanwhile is not None:
            try:
                meanwhile()
            except BaseException:
                for connection in departed:
                    if not isinstance(connection, Broken):
                        connection.disconnect()
                raise
        return [
            self._collect(trip, connection, deadline)
            for trip, connection in zip(trips, departed, strict=True)
        ]

    def _depart(self, trip: Trip, deadline: float) -> Any:
        """Send the pipeline; the connection on which its replies will come, or what went wrong."""
        address = trip.address
        data = pack(trip.wires)
        now = time.monotonic()
        connection = self._idle(address, now, movable=trip.movable)
        if connection is None:
            connection = self._open(address, self.topology.open_deadline(address, deadline, now))
            if isinstance(connection, Broken):
                self._forget(address)
                return connection
        try:
            connection.reader.send(data, deadline)
        except _CONNECTION_ERRORS as error:
            return self._cut(address, connection, error)
        except BaseException:
            # Interrupted in the middle of a command: nobody may use the connection again.
            connection.disconnect()
            raise
        return connection

    def _collect(self, trip: Trip, connection: Any, deadline: float) -> Answer:
        if isinstance(connection, Broken):
            return connection
        replies: list[Any] = []
        connection.used_at = now = time.monotonic()
        until = self.topology.trip_deadline(trip.address, deadline, now)
        try:
            connection.reader.replies(replies, len(trip.wires), until)
        except _CONNECTION_ERRORS as error:
            return self._cut(trip.address, connection, error, replies)
        except BaseException:
            # Interrupted before the reply: it would be taken for that of the next command.
            connection.disconnect()
            raise
        self._give_back(trip.address, connection)
        return replies

    def _idle(self, address: Address, now: float, *, movable: bool) -> Any:
        """A connection that nobody uses; None: there is none.

        While it is in use all the time, looking each time whether the node has closed it costs more than the rare request that
        has to be sent again. But one that could go elsewhere would then wait for a node that is known to be gone.
        """
        try:
            connection = self._pools[address].pop()
        except (KeyError, IndexError):
            return None
        if (movable or now - connection.used_at > LOOK_AFTER) and connection.reader.was_closed():
            self._forget(address)
            connection.disconnect()
            return None
        return connection

    def _open(self, address: Address, until: float) -> Any:
        connection = node(self.url, address, greeting(self.url, self.topology, address))
        try:
            connection.open(until)
        except _CONNECTING_ERRORS as error:
            return Broken(error, sent=False)
        return connection

    def _give_back(self, address: Address, connection: Any) -> None:
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools.setdefault(address, deque())
        if len(pool) < IDLE_CONNECTIONS:
            pool.append(connection)
        else:
            connection.disconnect()

    def _cut(
        self, address: Address, connection: Any, error: Exception, replies: Sequence[Any] = ()
    ) -> Broken:
        """It broke when something had been sent on it."""
        connection.disconnect()
        self._forget(address)
        return Broken(error, sent=True, replies=replies)

    def _forget(self, address: Address) -> None:
        """A broken connection: the idle ones to the same node are most likely dead too."""
        for connection in self._pools.pop(address, ()):
            connection.disconnect()

    # --- topology -------------------------------------------------------------------------------------------

    def _refresh(self, generation: int, deadline: float, *, doubt: bool = True, force: bool = False) -> None:
        """Learn the owners anew: one thread at a time, and only if nobody has since `generation`.

        `doubt`: what was known has proved wrong, so no single node is believed.
        """
        topology = self.topology
        if self.url.kind in ("single", "unix"):
            self.close()
            return
        began = time.monotonic()
        if not self._lock.acquire(timeout=max(deadline - began, 0)):
            return
        try:
            if not force and (topology.generation != generation or self._looked_at > began):
                return
            inquire(Inquiry(topology, self.url, doubt=doubt, now=began, deadline=deadline), self.url)
        finally:
            self._looked_at = time.monotonic()
            self._lock.release()


_drivers: weakref.WeakSet[SyncDriver] = weakref.WeakSet()


def _after_fork() -> None:
    """A forked child must not read the parent's replies: it starts with no connection and fresh locks."""
    for driver in list(_drivers):
        driver._begin()


os.register_at_fork(after_in_child=_after_fork)

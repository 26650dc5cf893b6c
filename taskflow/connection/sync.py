"""The synchronous driver: carries out the steps of plans on blocking sockets, from any thread."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from hiredis import pack_command

from .asking import inquire
from .coroutines import advance, complete
from .driver import TROUBLE, Driver
from .greeting import greeting
from .inquiry import Inquiry
from .nodes import node
from .plans import executing
from .resolving import Resolving
from .settings import pack
from .steps import Answer, Broken, Request, Trip, Wire
from .topology import Address, Topology
from .url import BrokerURL

NOT_ASKED = Broken(ConnectionError("not asked"), sent=False)
"""There was no idle connection for the short way of a command that is alone."""


class SyncDriver(Resolving, Driver):
    """Sends requests to the nodes of one broker.

    Args:
        url: the broker, as a URL or parsed. Nothing is connected before the first request.
    """

    def __init__(self, url: str | BrokerURL) -> None:
        super().__init__(url)
        _drivers.add(self)

    def _begin(self) -> None:
        Resolving._begin(self)
        Driver.__init__(self)
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
                wire, movable = request.first_wire or request.wire(full=False, resent=False), request.movable
                reply = NOT_ASKED if meanwhile else self._ask(address, wire, movable, now, deadline)
                if reply is NOT_ASKED:
                    trips = [Trip(address, [wire], movable)]
                    (answer,) = self._travel_now(trips, deadline, meanwhile)
                    reply, meanwhile = answer if isinstance(answer, Broken) else answer[0], None
                if not isinstance(reply, TROUBLE):
                    return [request.parse(reply)]
                first = address, reply if isinstance(reply, Broken) else [reply]
        steps = executing(requests, topology, deadline, time.monotonic, first)
        return complete(self._carry_out(steps, deadline, meanwhile))

    def owner(self, slot: int) -> Address | None:
        """The node that owns `slot`, as far as known now; nobody is asked."""
        return self._topology.owner(slot) if self._topology is not None else None

    def masters(self, timeout: float) -> list[Address]:
        """The masters of the cluster, or the one server."""
        return complete(self._known_masters(timeout))

    def connect(self, slot: int | None, timeout: float) -> Any:
        """A connection of the caller's own to the owner of `slot`, for blocking and subscribing; the caller
        closes it.
        """
        return complete(self._connected(slot, timeout))

    def close(self) -> None:
        """Close the idle connections. The driver can be used again."""
        self._drop_idle()

    # --- how a thread waits ---------------------------------------------------------------------------------

    async def _resolved(self) -> Topology:
        return self.topology

    def _new(self, address: Address) -> Any:
        return node(self.url, address, greeting(self.url, self.topology, address))

    def _ask(self, address: Address, wire: Wire, movable: bool, now: float, deadline: float) -> Any:
        """The trip of a command that is alone, as `Driver._trip` makes it, but on an idle connection, and in as few calls as can
        be: its reply, an error of the server, or a `Broken`; `NOT_ASKED`: there is no such connection.
        """
        try:
            pool = self._pools[address]
            connection = pool.pop()
        except (KeyError, IndexError):
            return NOT_ASKED
        if connection.reader.was_closed(now - connection.used_at, movable):
            self._give_up(address, connection)
            return NOT_ASKED
        try:
            data = pack_command(wire)
        except UnicodeEncodeError:
            data = pack([wire])
        try:
            reply = connection.reader.ask(data, now, deadline)
        except BaseException as error:
            if (broken := self._broken(address, connection, error)) is not None:
                return broken
            raise
        connection.used_at = now
        pool.append(connection)
        if len(pool) > 1:
            self._thin_out(pool, now)
        return reply

    async def _travel(
        self, trips: Sequence[Trip], deadline: float, meanwhile: Callable[[], None] | None = None
    ) -> list[Answer]:
        return self._travel_now(trips, deadline, meanwhile)

    def _travel_now(
        self, trips: Sequence[Trip], deadline: float, meanwhile: Callable[[], None] | None
    ) -> list[Answer]:
        under_way = [self._trip(trip, deadline, together=True) for trip in trips]
        try:
            answers = [advance(one) for one in under_way]
            if meanwhile is not None:
                meanwhile()
            return [
                answer if answer is not None else complete(one)
                for answer, one in zip(answers, under_way, strict=True)
            ]
        finally:
            for one in under_way:
                one.close()

    async def _pause(self, seconds: float) -> None:
        time.sleep(seconds)

    async def _look(self, topology: Topology, generation: int, deadline: float, *, doubt: bool) -> None:
        began = time.monotonic()
        if not self._lock.acquire(timeout=max(deadline - began, 0)):
            return
        try:
            if topology.generation == generation and self._looked_at <= began:
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

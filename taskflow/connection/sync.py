"""The synchronous driver: carries out the steps of an exchange on blocking sockets, from any thread."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from redis import exceptions as redis_errors

from ..errors import BrokerUnavailable
from .asking import inquire
from .exchange import Exchange
from .greeting import greeting
from .inquiry import Inquiry
from .nodes import node
from .refusals import refusal
from .settings import IDLE_CONNECTIONS, pack, resolve, topology_of
from .steps import Answer, Broken, Pause, Refresh, Request, Trip, Trips, is_plain, lone
from .topology import Address, Topology
from .url import BrokerURL, parse

_CONNECTION_ERRORS = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.InvalidResponse,  # something else than a Redis server answers on this port
    OSError,
)

_CONNECTING_ERRORS = (redis_errors.RedisError, OSError)
"""Also what the server says to the login and to the choice of a database."""

LOOK_AFTER = 0.05
"""Seconds after which a connection may have been closed by the node while nobody looked."""


class SyncDriver:
    """Sends requests to the nodes of one broker.

    Args:
        url: the broker, as a URL or parsed. Nothing is connected before the first request.
    """

    def __init__(self, url: str | BrokerURL) -> None:
        self._given = url
        self._start()
        _drivers.add(self)

    def _start(self) -> None:
        self._url: BrokerURL | None = None
        self._topology: Topology | None = None
        self._pools: dict[Address, deque[Any]] = {}
        # A signal handler may come in here on the thread that holds it.
        self._lock = threading.RLock()
        self._starts = False
        self._looked_at = 0.0

    @property
    def url(self) -> BrokerURL:
        """The broker's URL; an embedded server is started by asking."""
        if self._url is None:
            with self._lock:
                if self._url is None:
                    self._resolve()
        assert self._url is not None
        return self._url

    def _resolve(self) -> None:
        given = parse(self._given) if isinstance(self._given, str) else self._given
        if given.kind == "embedded" and self._starts:
            raise BrokerUnavailable(
                "the embedded server is being started by the very code that this call has interrupted (from a signal handler "
                "or a finalizer): start it before, with `taskflow server start` or a first call"
            )
        self._starts = True
        try:
            url = resolve(given)
        finally:
            self._starts = False
        self._topology = topology_of(url)
        self._url = url

    @property
    def topology(self) -> Topology:
        """Who owns which slot, as far as known."""
        assert self.url is not None
        assert self._topology is not None
        return self._topology

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
        deadline = time.monotonic() + timeout
        if not topology.known:
            self._refresh(topology.generation, deadline, doubt=False)
        first: tuple[Address, Answer] | None = None
        if len(requests) == 1 and (trip := lone(requests[0], topology)) is not None:
            answer = self._travel([trip], deadline, meanwhile)[0]
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
                    done, meanwhile = self._travel(trips, deadline, meanwhile), None
                case Refresh(generation):
                    self._refresh(generation, deadline)
                case Pause(seconds):
                    time.sleep(seconds)

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
        address = topology.owner(slot)
        if address is None or topology.may_have_changed((slot,), time.monotonic()):
            self._refresh(topology.generation, deadline, doubt=topology.known)
            address = topology.owner(slot)
        if address is None:
            raise BrokerUnavailable(f"no node of {self.url} is known to own key slot {slot}")
        connection = self._new(address)
        now = time.monotonic()
        try:
            connection.open(topology.open_deadline(address, deadline, now))
        except _CONNECTING_ERRORS as error:
            topology.missed(address, now)
            generation = topology.generation
            self._refresh(generation, deadline)
            if topology.owner(slot) == address and (said := refusal(self.url, address, error)) is not None:
                raise said from error
            raise BrokerUnavailable(f"{self.url}: {error}") from error
        topology.heard(address)
        return connection

    def close(self) -> None:
        """Close the idle connections. The driver can be used again."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            for connection in pool:
                connection.disconnect()

    # --- trips ----------------------------------------------------------------------------------------------

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
        try:
            connection = self._pools[address].pop()
        except (KeyError, IndexError):
            connection = None
        # While it is in use all the time, looking each time costs more than the rare request that has to be sent again. But one
        # that could go elsewhere would then wait for a node that is known to be gone.
        if connection is None or (
            (trip.movable or time.monotonic() - connection.used_at > LOOK_AFTER)
            and connection.channel.was_closed()
        ):
            if connection is not None:
                self._forget(address)
                connection.disconnect()
            connection = self._new(address)
            until = self.topology.open_deadline(address, deadline, time.monotonic())
            try:
                connection.open(until)
            except _CONNECTING_ERRORS as error:
                self._forget(address)
                return Broken(error, sent=False)
        try:
            connection.channel.send(data, deadline)
        except _CONNECTION_ERRORS as error:
            connection.disconnect()
            self._forget(address)
            return Broken(error, sent=True)
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
            connection.channel.replies(replies, len(trip.wires), until)
        except _CONNECTION_ERRORS as error:
            connection.disconnect()
            self._forget(trip.address)
            return Broken(error, sent=True, replies=replies)
        except BaseException:
            # Interrupted before the reply: it would be taken for that of the next command.
            connection.disconnect()
            raise
        self._give_back(trip.address, connection)
        return replies

    def _new(self, address: Address) -> Any:
        return node(self.url, address, greeting(self.url, self.topology, address))

    def _give_back(self, address: Address, connection: Any) -> None:
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools.setdefault(address, deque())
        if len(pool) < IDLE_CONNECTIONS:
            pool.append(connection)
        else:
            connection.disconnect()

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
        driver._start()


os.register_at_fork(after_in_child=_after_fork)

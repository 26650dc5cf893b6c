"""The wrapper around what the drivers send: what is to fail does, below the loop that sends again.

A pipeline breaks at a command of it. What stands before that command has run and been answered, what stands behind has not
been sent. The error comes at once: nobody waits for a timeout that was decided on anyway.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import hiredis
from redis import exceptions as redis_errors

from taskflow.broker.scripts import load, names
from taskflow.connection.aio import AsyncDriver
from taskflow.connection.driver import Driver
from taskflow.connection.steps import Broken, Trip
from taskflow.connection.sync import NOT_ASKED, SyncDriver
from tests.faults.policy import Fate, Faults

_SPARED = frozenset({"ASKING", "WAIT", "INFO", "RPUSH", "LPUSH", "INCR", "HINCRBY", "SCRIPT"})
"""What a retry plan adds to a command, and fails with it; and what only tests send, and must not be repeated."""


@functools.cache
def _scripts() -> dict[str, str]:
    return {load(name).sha: name for name in names()}


def name_of(wire: Sequence[Any]) -> str:
    """A script's name, or the command's."""
    word = str(wire[0])
    if word == "EVALSHA":
        return _scripts().get(str(wire[1]), "EVALSHA")
    if word == "EVAL":
        return _scripts().get(hashlib.sha1(str(wire[1]).encode()).hexdigest(), "EVAL")
    return word


current: Faults | None = None
"""The faults of this process."""


def install(faults: Faults) -> None:
    """Let commands fail, in every driver of this process; once."""
    global current
    assert current is None
    current = faults
    _install_trips(faults)
    _install_connections(faults)


@dataclass(frozen=True)
class _Cut:
    """Where a pipeline breaks: how many of its commands run, how many replies arrive, and the error that says so."""

    commands: int
    replies: int
    error: Exception

    def broken(self, answer: Any) -> Broken:
        """What came of the commands that were sent, as the plan sees it.

        Whoever sees a connection break cannot tell whether anything more of it arrived.
        """
        if isinstance(answer, Broken):
            return answer
        return Broken(self.error, sent=True, replies=(answer or [])[: self.replies])


def _cut(faults: Faults, trip: Trip) -> _Cut | None:
    """Where the pipeline breaks; None: nowhere."""
    for index, wire in enumerate(trip.wires):
        name = name_of(wire)
        if name in _SPARED:
            continue
        match faults.fate(name):
            case Fate.BEFORE:
                error: Exception = redis_errors.ConnectionError(f"fault: {name} fails before it runs")
                return _Cut(index, index, error)
            case Fate.AFTER:
                error = redis_errors.TimeoutError(f"fault: the reply of {name} is lost")
                return _Cut(index + 1, index, error)
    return None


def _install_trips(faults: Faults) -> None:
    make, ask = Driver._trip, SyncDriver._ask

    @functools.wraps(make)
    async def faulty_trip(self: Driver, trip: Trip, *rest: Any, **how: Any) -> list[Any] | Broken:
        cut = _cut(faults, trip)
        if cut is None:
            return await make(self, trip, *rest, **how)
        answer: Any = None
        if cut.commands:
            answer = await make(self, Trip(trip.address, trip.wires[: cut.commands]), *rest, **how)
        self._forget(trip.address)
        return cut.broken(answer)

    @functools.wraps(ask)
    def faulty_ask(self: SyncDriver, address: Any, wire: Any, *rest: Any) -> Any:
        if not self._pools.get(address):
            return NOT_ASKED  # it becomes a trip, and may fail there
        cut = _cut(faults, Trip(address, [wire]))
        if cut is None:
            return ask(self, address, wire, *rest)
        answer = ask(self, address, wire, *rest) if cut.commands else None
        if answer is NOT_ASKED:
            return answer
        self._forget(address)
        return cut.broken(answer if isinstance(answer, Broken) else [answer])

    Driver._trip = faulty_trip  # type: ignore[method-assign]
    SyncDriver._ask = faulty_ask  # type: ignore[method-assign]


def _install_connections(faults: Faults) -> None:
    connect, aconnect = SyncDriver.connect, AsyncDriver.connect

    @functools.wraps(connect)
    def faulty_connect(self: SyncDriver, slot: int | None, timeout: float) -> Any:
        return _Connection(connect(self, slot, timeout), faults)

    @functools.wraps(aconnect)
    async def faulty_aconnect(self: AsyncDriver, slot: int | None, timeout: float) -> Any:
        return _AsyncConnection(await aconnect(self, slot, timeout), faults)

    SyncDriver.connect = faulty_connect  # type: ignore[method-assign]
    AsyncDriver.connect = faulty_aconnect  # type: ignore[method-assign]


class _Connection:
    """A connection of somebody's own, for waiting and subscribing: sending on it may fail, and so may the next reply."""

    def __init__(self, connection: Any, faults: Faults) -> None:
        self._connection = connection
        self._faults = faults
        self._lost = ""
        self.reader: Any = _Reader(self, connection.reader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def _decide(self, name: str) -> None:
        fate = self._faults.fate(name)
        if fate is Fate.BEFORE:
            raise redis_errors.ConnectionError(f"fault: {name} fails before it runs")
        self._lost = name if fate is Fate.AFTER else ""

    def _deliver(self, reply: Any) -> Any:
        if self._lost:
            name, self._lost = self._lost, ""
            raise redis_errors.ConnectionError(f"fault: the reply of {name} is lost")
        return reply


class _AsyncConnection(_Connection):
    """The same in a coroutine, where redis-py's own way is used too."""

    def __init__(self, connection: Any, faults: Faults) -> None:
        super().__init__(connection, faults)
        self.reader = _AsyncReader(self, connection.reader)

    async def send_command(self, *words: Any, **options: Any) -> None:
        self._decide(str(words[0]))
        await self._connection.send_command(*words, **options)

    async def read_response(self, *args: Any, **options: Any) -> Any:
        return self._deliver(await self._connection.read_response(*args, **options))


class _Reader:
    """The `ReplyReader` of such a connection, with one command at a time."""

    def __init__(self, connection: _Connection, reader: Any) -> None:
        self._connection = connection
        self._reader = reader

    def send(self, data: bytes, *args: Any) -> None:
        reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape")
        reader.feed(data)
        self._connection._decide(name_of(reader.gets()))
        self._reader.send(data, *args)

    def replies(self, replies: list[Any], *args: Any) -> None:
        self._reader.replies(replies, *args)
        self._connection._deliver(replies)


class _AsyncReader(_Reader):
    """The same in a coroutine."""

    async def replies(self, replies: list[Any], *args: Any) -> None:  # type: ignore[override]
        await self._reader.replies(replies, *args)
        self._connection._deliver(replies)

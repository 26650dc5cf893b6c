"""Group commit: callers that come while a trip to a node is under way go together with the next one.

A caller that finds nobody under way goes at once, by itself, so being alone costs nothing and no timer runs. All others wait
in the queue; when the trip ends, the first of them leads the next one and takes the others with it. So the more callers there are
at once, the more share a round trip.

Nobody is stranded: a leader that is interrupted leaves its followers with what it knows, which is nothing, and each of them
sends its own again, as one of which an earlier copy may have run. A leader that is gone without a word (a thread that was
ended from outside) or that has met trouble is overtaken: after `PATIENCE` seconds the first in the queue goes by itself.

A thread may come while it is in here already: from a signal handler, from a finalizer that the collector runs, from a handler of
a log. It cannot wait for what itself has begun, neither for a lock nor for a trip, so it goes by itself and touches nothing.

`CommitQueue` decides, without I/O, locks or a clock; `GroupCommit` (threads) and `AsyncGroupCommit` (coroutines) wait and send.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

from ..errors import BrokerUnavailable
from .commit_queue import ANSWERED, LEADS, UNDER_WAY, WAITING, Caller, CommitQueue

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
R = TypeVar("R")

PATIENCE = 0.25
"""Seconds that the first in the queue waits for a trip to end before it goes beside it."""

BUNCH = 32
"""If more coroutines wait, half of them go, so that the server works on these while the others are made. (Threads all go: they
are woken one by one in any case, so there are always some under way and some in the queue.)"""


class _Queues(Generic[K, T, R]):
    """A queue for each key: a node, and what must not be mixed on the way to it."""

    _bunch = math.inf

    def __init__(self, undecided: Callable[[R], bool]) -> None:
        self._undecided = undecided
        self._queues: dict[K, CommitQueue[T, R]] = {}

    def _queue(self, key: K) -> CommitQueue[T, R]:
        queue = self._queues.get(key)
        return queue if queue is not None else self._queues.setdefault(key, CommitQueue(self._bunch))

    def _seconds(self, caller: Caller[T, R]) -> float:
        """How long the caller waits now."""
        return min(PATIENCE, max(caller.deadline - time.monotonic(), 0.0))

    def _is_late(self, caller: Caller[T, R]) -> bool:
        return time.monotonic() >= caller.deadline

    def _alone(self, caller: Caller[T, R]) -> bool:
        """Whether a caller that was answered has to send its item again by itself: its leader was interrupted, or had
        less time than itself.
        """
        value = caller.value
        return value is None or (self._undecided(value) and not self._is_late(caller))


class GroupCommit(_Queues[K, T, R]):
    """Group commit for threads.

    Args:
        send: sends items of one key within so many seconds, and gives for each what became of it. Its last argument says
            whether earlier copies of them may have run.
        undecided: whether a value says no more than that no answer came in time.
    """

    def __init__(
        self, send: Callable[[K, list[T], float, bool], list[R]], undecided: Callable[[R], bool]
    ) -> None:
        super().__init__(undecided)
        self._send = send
        self._mutex = threading.Lock()
        self._inside: set[int] = set()
        """The threads that are in here, by their identifiers."""
        _commits.add(self)

    def submit(self, key: K, item: T, weight: int, timeout: float) -> R:
        """Send an item, together with those of others that come at the same time.

        Args:
            key: items of different keys do not share a trip.
            item: what to send.
            weight: its bytes.
            timeout: seconds for everything together.

        Returns:
            What became of the item.

        Raises:
            BrokerUnavailable: there was no answer in time.
        """
        thread, inside = threading.get_ident(), self._inside
        if thread in inside:
            return self._send(key, [item], timeout, False)[0]
        inside.add(thread)
        try:
            queue = self._queues.get(key) or self._queue(key)
            alone = [item]
            caller: Caller[T, R] | None = None
            with self._mutex:
                if queue.leader is None:  # nearly always
                    queue.leader = alone
                else:
                    caller = Caller(item, weight, time.monotonic() + timeout)
                    queue.enter(caller)
                    caller.turn = threading.Lock()
                    caller.turn.acquire()
            if caller is None:
                return self._go_alone(key, queue, alone, timeout)
            if self._wait(queue, caller):
                return self._lead(key, queue, caller)
            if self._alone(caller):
                return self._send(key, [item], caller.deadline - time.monotonic(), True)[0]
            return caller.value  # type: ignore[return-value]
        finally:
            inside.discard(thread)

    def _go_alone(self, key: K, queue: CommitQueue[T, R], items: list[T], timeout: float) -> R:
        """What `_lead` does for one who found nobody under way: those who come now wait for its return."""
        try:
            return self._send(key, items, timeout, False)[0]
        finally:
            successor = None
            with self._mutex:
                if queue.leader is items and not queue.waiting:
                    queue.leader = None
                else:
                    successor = queue.leave(items)
            if successor is not None:
                successor.turn.release()

    def _wait(self, queue: CommitQueue[T, R], caller: Caller[T, R]) -> bool:
        """Wait until the caller is answered, or True: until it is to lead."""
        try:
            while not caller.turn.acquire(timeout=self._seconds(caller)):
                with self._mutex:
                    if caller.state is ANSWERED:  # whoever was to wake it is gone
                        break
                    if self._is_late(caller):
                        raise BrokerUnavailable("no answer from the broker in time")
                    if queue.overtake(caller):
                        break
        except BaseException:
            with self._mutex:
                successor = queue.abandon(caller)
            if successor is not None:
                successor.turn.release()
            raise
        finally:
            if caller.wakes is not None:
                caller.wakes.turn.release()
        return caller.state is LEADS

    def _lead(self, key: K, queue: CommitQueue[T, R], leader: Caller[T, R]) -> R:
        batch = [leader]
        values: list[R] | None = None
        try:
            with self._mutex:
                batch = queue.batch(leader)
            values = self._send(
                key, [caller.item for caller in batch], leader.deadline - time.monotonic(), False
            )
            return values[0]
        finally:
            # Each wakes the next. If the leader woke them all, they would wake only to queue up for the interpreter.
            first: Caller[T, R] | None = None
            with self._mutex:
                successor = queue.leave(leader)
                for index in range(len(batch) - 1, 0, -1):
                    caller = batch[index]
                    if caller.state is UNDER_WAY:
                        caller.value = values[index] if values is not None else None
                        caller.state = ANSWERED
                        caller.wakes, first = first, caller
            if successor is not None:
                successor.turn.release()
            if first is not None:
                first.turn.release()

    def _after_fork(self) -> None:
        """The threads that were under way or in the queue are the parent's."""
        self._mutex = threading.Lock()
        self._inside = set()
        self._queues = {}


class AsyncGroupCommit(_Queues[K, T, R]):
    """Group commit for the coroutines of one event loop; the arguments are those of `GroupCommit`, `send` a coroutine
    function.
    """

    _bunch = BUNCH

    def __init__(
        self, send: Callable[[K, list[T], float, bool], Awaitable[list[R]]], undecided: Callable[[R], bool]
    ) -> None:
        super().__init__(undecided)
        self._send = send
        self._patient: dict[Caller[T, R], float] = {}
        """Those who wait, and until when, on the monotonic clock."""
        self._timer: asyncio.TimerHandle | None = None
        self._patrol_at = math.inf

    async def submit(self, key: K, item: T, weight: int, timeout: float) -> R:
        """As `GroupCommit.submit`."""
        queue = self._queues.get(key) or self._queue(key)
        if queue.leader is None:  # nobody is under way: as `GroupCommit._go_alone`
            queue.leader = alone = [item]
            try:
                return (await self._send(key, alone, timeout, False))[0]
            finally:
                if (successor := queue.leave(alone)) is not None:
                    _wake(successor.turn)
        caller: Caller[T, R] = Caller(item, weight, time.monotonic() + timeout)
        queue.enter(caller)
        if await self._wait(queue, caller):
            return await self._lead(key, queue, caller)
        if self._alone(caller):
            return (await self._send(key, [item], caller.deadline - time.monotonic(), True))[0]
        return caller.value  # type: ignore[return-value]

    async def _wait(self, queue: CommitQueue[T, R], caller: Caller[T, R]) -> bool:
        """As `GroupCommit._wait`."""
        loop = asyncio.get_running_loop()
        try:
            while caller.state in (WAITING, UNDER_WAY):
                caller.turn = loop.create_future()
                self._watch(loop, caller)
                await caller.turn
                if caller.state in (WAITING, UNDER_WAY) and self._is_late(caller):
                    raise BrokerUnavailable("no answer from the broker in time")
                if caller.state is WAITING:
                    queue.overtake(caller)
        except BaseException:
            successor = queue.abandon(caller)
            if successor is not None:
                _wake(successor.turn)
            raise
        finally:
            self._patient.pop(caller, None)
        return caller.state is LEADS

    def _watch(self, loop: asyncio.AbstractEventLoop, caller: Caller[T, R]) -> None:
        """Wake the caller when it has waited long enough. One timer for all: one for each would be a third of what a call
        takes.
        """
        self._patient[caller] = until = time.monotonic() + self._seconds(caller)
        if until < self._patrol_at:
            self._set_timer(loop, until)

    def _set_timer(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(until - time.monotonic(), self._patrol, loop)
        self._patrol_at = until

    def _patrol(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer, self._patrol_at = None, math.inf
        now = time.monotonic()
        for caller, until in self._patient.items():
            if until <= now:
                _wake(caller.turn)
        if left := [until for until in self._patient.values() if until > now]:
            self._set_timer(loop, min(left))

    async def _lead(self, key: K, queue: CommitQueue[T, R], leader: Caller[T, R]) -> R:
        batch = queue.batch(leader)
        values: list[R] | None = None
        try:
            values = await self._send(
                key, [caller.item for caller in batch], leader.deadline - time.monotonic(), False
            )
            return values[0]
        finally:
            successor = queue.leave(leader)
            if successor is not None:
                _wake(successor.turn)
            for index in range(1, len(batch)):
                caller = batch[index]
                caller.value = values[index] if values is not None else None
                caller.state = ANSWERED
                _wake(caller.turn)


def _wake(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


_commits: weakref.WeakSet[GroupCommit[Any, Any, Any]] = weakref.WeakSet()


def _after_fork() -> None:
    for commit in list(_commits):
        commit._after_fork()


os.register_at_fork(after_in_child=_after_fork)

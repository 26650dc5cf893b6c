"""Group commit for the coroutines of one event loop; what it is for, and what nobody has to fear, is said in `group_commit`."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

from .commit_queue import LEADS, Caller, CommitQueue, CommitQueues

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
R = TypeVar("R")

BUNCH = 32
"""If more coroutines wait, half of them go, so that the server works on these while the others are made. (Threads all go: they
are woken one by one in any case, so there are always some under way and some in the queue.)"""


class AsyncGroupCommit(CommitQueues[K, T, R]):
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
            while True:
                caller.turn = loop.create_future()
                self._watch(loop, caller)
                await caller.turn
                if not self._waits_on(queue, caller):
                    break
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
        if others := [until for until in self._patient.values() if until > now]:
            self._set_timer(loop, min(others))

    async def _lead(self, key: K, queue: CommitQueue[T, R], leader: Caller[T, R]) -> R:
        batch = queue.batch(leader)
        values: list[R] | None = None
        try:
            values = await self._send(
                key, [caller.item for caller in batch], leader.deadline - time.monotonic(), False
            )
            return values[0]
        finally:
            successor, caller = queue.end(batch, values)
            if successor is not None:
                _wake(successor.turn)
            while caller is not None:
                _wake(caller.turn)
                caller = caller.wakes


def _wake(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)

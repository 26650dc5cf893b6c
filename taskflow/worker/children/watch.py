"""Looks at the children: what did not start in time, what is over its hard limit, who does not get on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from ...telemetry.events import TimedOut, emit
from ..holding.held_tasks import Held
from ..timings import TIMINGS, Timings
from .child import Child

BACKLOG_SECONDS = 1.0
"""Seconds between two looks at whether tasks wait in the queues, while it matters."""


_OVERDUE = "is over its hard time limit, and a worker in the same process cannot end it"


class Keeper(Protocol):
    """Who owns the children, and acts on what is seen."""

    children: list[Child]

    def hand_back(self, items: list[Held]) -> None:
        """Give tasks back that have not started."""

    def expire(self, child: Child, over: list[Held]) -> None:
        """Jobs of a child are over their hard limit, or were cancelled and are to be ended."""

    def replace_stuck(self, child: Child, why: str) -> None:
        """A child does not get on."""


class Watch:
    """The looks at all children.

    Args:
        keeper: of the children.
        backlog: whether any task waits in a queue that this worker serves. Asked only while it matters: of a child that is full
            nothing is expected unless there is something to do.
        timings: how long a child may stand still.
    """

    def __init__(
        self, keeper: Keeper, backlog: Callable[[], Awaitable[bool]], timings: Timings = TIMINGS
    ) -> None:
        self._keeper = keeper
        self._timings = timings
        self._backlog = backlog
        self._asking: asyncio.Task[None] | None = None
        self._asked_at = 0.0
        self._work_waits = False
        self._overdue: set[Held] = set()

    def look(self) -> None:
        """One look at every child."""
        now, now_ns = time.monotonic(), time.monotonic_ns()
        for child in list(self._keeper.children):
            if not child.jobs and child.liveness.is_quiet(now):
                continue
            runs = list(child.marks.running())
            if late := child.recall_late(now, idle=not runs):
                self._keeper.hand_back(late)
            over = child.over_limit(now_ns, runs)
            if child.process.separate:
                over += [held for held in child.over_grace(now, runs) if held not in over]
            if over and child.process.separate:
                self._keeper.expire(child, over)
            elif over or self._overdue:
                self._say_overdue(over)
            if child.retiring and over and len(over) == len(child.jobs):
                # Not those that run are counted: one may have ended just now, and would run again if its verdict were lost.
                child.kill()
            child.look(now, runs)
            self._judge(child, now, over=len(over), is_full=len(runs) >= child.slots)

    def complaints(self) -> list[str]:
        """Which children do not get on, a sentence each."""
        found = [
            f"child {child.process.pid}: {wrong}"
            for child in list(self._keeper.children)
            if not child.retiring and (wrong := self._wrong(child, self._timings.complain))
        ]
        return found + [f"task {held.id} {_OVERDUE}" for held in self._overdue]

    def _say_overdue(self, over: list[Held]) -> None:
        """In `-P solo` nothing can end a task but itself; then the next one has the slot."""
        for held in set(over) - self._overdue:
            if TimedOut.heard:
                emit(TimedOut(*held.who(), hard=True))
        self._overdue = set(over)

    def _judge(self, child: Child, now: float, *, over: int, is_full: bool) -> None:
        if child.liveness.silent_for and is_full:
            self._look_for_work(now)
        if child.retiring:
            if child.liveness.is_stranded() and len(child.running()) == over:
                child.kill()
        elif child.process.separate and (why := self._wrong(child, self._timings.stuck)):
            self._keeper.replace_stuck(child, why)

    def _wrong(self, child: Child, seconds: float) -> str:
        """What is wrong with a child. One that computes in all its slots may keep its reader waiting for minutes; where several
        tasks share it, the others wait then too, and where it was stopped, all do.
        """
        silent = child.liveness.silent_for > seconds
        stopped = silent and child.process.is_stopped()
        waits = silent and self._work_waits and (child.slots > 1 or stopped)
        wrong = child.liveness.wrong(seconds, work_waits=waits)
        return f"{wrong} (it was stopped by a signal)" if wrong and stopped else wrong

    def _look_for_work(self, now: float) -> None:
        if now - self._asked_at < BACKLOG_SECONDS or (self._asking is not None and not self._asking.done()):
            return
        self._asked_at = now
        self._asking = asyncio.create_task(self._look_at_backlog())

    async def _look_at_backlog(self) -> None:
        self._work_waits = await self._backlog()

"""Children that are given up before their time: one over a limit of a task's, one that does not get on, one too many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ...telemetry.events import ChildReplaced, TimedOut, emit
from ..holding.held_tasks import Held
from .child import Child
from .leftovers import Leftovers
from .recycling import EXTRA_OLD
from .renewal import Renewal


class Retiring:
    """Takes work away from children, and starts others in their place.

    Args:
        children: those that run now; the group changes the list.
        leftovers: has what a child has not started.
        renewal: starts others.
        wanted: how many children there should be.
        background: runs a coroutine until the worker ends.
        grace: seconds that the other tasks of a child have which is to be killed.
    """

    def __init__(
        self,
        children: list[Child],
        leftovers: Leftovers,
        renewal: Renewal,
        *,
        wanted: Callable[[], int],
        background: Callable[[Coroutine[Any, Any, None]], object],
        grace: float,
    ) -> None:
        self.children = children
        self._leftovers = leftovers
        self._renewal = renewal
        self._wanted = wanted
        self._background = background
        self._grace = grace
        self.hand_back = leftovers.hand_back
        """Gives tasks back that have not started; nothing is counted."""

    def expire(self, child: Child, over: list[Held]) -> None:
        """Jobs are over their hard limit, or were cancelled and are to be ended: no more work for this child, its replacement
        starts, others get their grace.
        """
        ran = dict(child.running())
        for held in over:
            if not held.failure and not held.cancelled:
                held.ran_seconds = ran.get(held, 0.0)
                held.failure = "hard time limit exceeded; its process was killed"
                if TimedOut.heard:
                    emit(TimedOut(*held.who(), hard=True, killed=True))
        if child.doomed:
            return
        child.doomed = True
        asyncio.get_running_loop().call_later(self._grace, child.kill)
        if child.retiring:
            return  # another has taken its place
        self.retire(child)
        if not child.quarantined:
            self._background(self._renewal.start_one())

    def replace_stuck(self, child: Child, why: str) -> None:
        """It does not get on: it takes nothing more, another takes its place, and its tasks keep their limits."""
        old = sum(other.retiring for other in self.children)
        if old >= self._wanted() + EXTRA_OLD:
            return  # `complaints` goes on saying what is wrong
        emit(ChildReplaced(child.process.pid, why))
        self.retire(child)
        if not child.quarantined:
            self._background(self._renewal.start_one())

    def retire(self, child: Child) -> None:
        """Give a child nothing more; it ends when what it runs has ended."""
        child.retiring = True  # first, so that what is to be judged from here on goes to another child
        self._leftovers.recall(child)
        if not child.jobs:
            child.close()

"""Replaces children that are worn: their successors are started beforehand, and have their place as soon as they take no more."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from ...pipe import frames
from ..config import WorkerConfig
from .child import Child
from .wear import FIRST_START_SECONDS, Memory, Wear

logger = logging.getLogger("taskflow.worker")

Started = tuple[Child, frames.Hello]

EXTRA_OLD = 2
"""How many children that were replaced may still run their tasks beside the new ones: each has the app in memory."""


class Recycling:
    """The successors of children that are nearly worn.

    Args:
        config: after how many tasks, and over how much memory, a child is worn.
        children: those that run now; the group changes the list.
        start: starts a child, however often that takes; None: none is wanted any more.
        adopt: has a child take the place of another.
        background: runs a coroutine until the worker ends.
    """

    def __init__(
        self,
        config: WorkerConfig,
        children: Sequence[Child],
        start: Callable[[], Awaitable[Started | None]],
        adopt: Callable[[Started, Child], None],
        background: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._config = config
        self._children = children
        self._start = start
        self._adopt = adopt
        self._background = background
        self._successors: dict[Child, Started | None] = {}
        """By whose they are; None: it is being started."""
        self._start_seconds = FIRST_START_SECONDS
        self._told = False

    def begin(self, child: Child) -> None:
        """A child has been started."""
        if not child.quarantined:
            config = self._config
            memory = Memory(child.process.pid)
            child.wear = Wear(child.jobs, config.max_tasks_per_child, config.max_memory_per_child, memory)

    def look(self) -> None:
        """One look at all children."""
        for child in list(self._children):
            self.ended(child, 0)

    def ended(self, child: Child, count: int) -> None:
        """So many tasks of a child have ended: start its successor, or put that into its place, if it is time."""
        wear = child.wear
        if wear is None or child.retiring:
            return
        wear.look(time.monotonic(), ended=count)
        if wear.is_too_large_itself and not self._told:
            self._told = True
            logger.warning(
                "A child has %d MiB of memory before its first task, more than --max-memory-per-child: each runs a task or two "
                "and is replaced",
                wear.first_bytes >> 20,
            )
        if child in self._successors:
            started = self._successors[child]
            if wear.why and started is not None:
                del self._successors[child]
                self._adopt(started, child)
        elif wear.ends_within(child.pace.per_second * self._start_seconds) and not self._are_too_many_old():
            self._successors[child] = None
            self._background(self._start_successor(child))

    def heir(self, child: Child) -> Started | None:
        """The successor of a child that has died before its time, if that is ready; it is the caller's now."""
        return self._successors.pop(child, None)

    def forget(self) -> None:
        """All children are replaced for another reason, or ended: so are their successors."""
        successors, self._successors = self._successors, {}
        for started in successors.values():
            if started is not None:
                started[0].discard()

    def _are_too_many_old(self) -> bool:
        """Whether so many old ones still run tasks that memory would be the next thing to run out of: this one waits."""
        old = sum(other.retiring for other in self._children)
        return old >= len(self._children) - old + EXTRA_OLD

    async def _start_successor(self, child: Child) -> None:
        began = time.monotonic()
        started = await self._start()
        if started is None or child not in self._successors:
            self._successors.pop(child, None)
            if started is not None:
                started[0].discard()
            return
        self._start_seconds = time.monotonic() - began
        self._successors[child] = started
        self.ended(child, 0)

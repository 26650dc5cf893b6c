"""Lets as many tasks run at once as are needed, between two numbers: by more or fewer children, or slots of theirs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from ..config import WorkerConfig
from .child import Child
from .scale import Scale

logger = logging.getLogger("taskflow.worker")


class Scaling:
    """The number of tasks at once, as it is now.

    Args:
        config: between which numbers, and whether children or slots are many.
        children: those that run now.
        backlog: whether any task waits in the queues.
        resize: is called when there are to be more, or fewer.
    """

    def __init__(
        self,
        config: WorkerConfig,
        children: Sequence[Child],
        backlog: Callable[[], Awaitable[bool]],
        resize: Callable[[], None],
    ) -> None:
        timings = config.timings
        self._children = children
        self._backlog = backlog
        self._resize = resize
        self._sets = config.processes
        self._asking: asyncio.Task[None] | None = None
        self._of_threads = config.pool == "threads"
        self.scale = Scale(config.least, config.concurrency, timings.scale_up, timings.scale_down)
        """Of one of the `--processes` that `-c` counts for."""

    @property
    def children(self) -> int:
        """How many children there should be."""
        return self._sets if self._of_threads else self.scale.now * self._sets

    @property
    def fewest(self) -> int:
        """And how many at least."""
        return self._sets if self._of_threads else self.scale.least * self._sets

    @property
    def total(self) -> int:
        """Tasks at once."""
        return self.scale.now * self._sets

    def width(self, slots: int) -> int:
        """How many of its slots a child may use."""
        return self.scale.now if self._of_threads else slots

    def look(self) -> None:
        """One look: more are needed only where none is free and tasks wait, which is asked for then."""
        now = time.monotonic()
        busy = sum(min(len(child.jobs), child.width) for child in self._children if child.takes_work)
        if self.scale.is_full_for_long(now, -(-busy // self._sets)):
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask())
        elif self.scale.shrink(now):
            self._changed("fewer were enough")

    async def _ask(self) -> None:
        if await self._backlog():
            self.scale.grow(time.monotonic())
            self._changed("tasks wait")
        else:
            self.scale.wait(time.monotonic())

    def _changed(self, why: str) -> None:
        logger.info("Concurrency is %d from now on: %s", self.total, why)
        self._resize()

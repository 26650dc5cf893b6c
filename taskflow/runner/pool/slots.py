"""The slots of a child: how many tasks may run at once, whether in threads or on the event loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from ...pipe.page import Page


class Slots:
    """Hands out slots and marks in the shared page what runs in them.

    Args:
        page: shared with the worker.
        count: how many there are.
    """

    def __init__(self, page: Page, count: int) -> None:
        self._page = page
        self._free: SimpleQueue[int] = SimpleQueue()
        for slot in range(count):
            self._free.put(slot)
        self.on_free: Callable[[], None] = lambda: None
        """Called after a slot was given back: for whoever waits without blocking."""

    def take(self) -> int:
        """Wait for a free slot."""
        return self._free.get()

    def try_take(self) -> int | None:
        """A free slot, or None."""
        try:
            return self._free.get_nowait()
        except Empty:
            return None

    def start(self, slot: int, number: int, hard_seconds: float) -> bool:
        """Mark a job as started; False when the worker has taken it back."""
        now = time.monotonic_ns()
        return self._page.start(slot, number, now, now + int(hard_seconds * 1e9))

    def give_back(self, slot: int) -> None:
        """The task in this slot has ended."""
        self._page.end(slot)
        self._free.put(slot)
        self.on_free()

"""The slots of a child: how many tasks may run at once, whether in threads or on the event loop."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from ...pipe.page import Page


class Slots:
    """Hands out slots and marks in the shared page what runs in them.

    Args:
        page: shared with the worker.
        count: how many there are.
    """

    def __init__(self, page: Page, count: int) -> None:
        self._page = page
        self._free = deque(range(count))
        self._available = threading.Semaphore(count)
        self.on_free: Callable[[], None] = lambda: None
        """Called after a slot was given back: for whoever waits without blocking."""

    def take(self) -> int:
        """Wait for a free slot."""
        self._available.acquire()
        return self._free.popleft()

    def try_take(self) -> int | None:
        """A free slot, or None."""
        return self._free.popleft() if self._available.acquire(blocking=False) else None

    def start(self, slot: int, number: int, hard_seconds: float) -> bool:
        """Mark a job as started; False when the worker has taken it back."""
        now = time.monotonic_ns()
        return self._page.start(slot, number, now, now + int(hard_seconds * 1e9))

    def give_back(self, slot: int) -> None:
        """The task in this slot has ended."""
        self._page.end(slot)
        self._free.append(slot)
        self._available.release()
        self.on_free()

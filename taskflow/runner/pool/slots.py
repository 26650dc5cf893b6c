"""The slots of a child: how many tasks may run at once, whether in threads or on the event loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from ...pipe.shared_marks import SharedMarks


class PoolSlots:
    """Hands out slots and marks in the shared marks what runs in them.

    Threads wait for a slot and may keep it for one task after the other. The event loop cannot wait: it says that it wants one,
    and is handed the next that a thread lets go of. What the loop itself lets go of is anybody's, so neither starves the other.

    Args:
        marks: shared with the worker.
        count: how many there are.
    """

    def __init__(self, marks: SharedMarks, count: int) -> None:
        self._marks = marks
        self._free: SimpleQueue[int] = SimpleQueue()
        for slot in range(count):
            self._free.put(slot)
        self.wanted = False
        """Whether the event loop waits for a slot."""
        self.on_handed: Callable[[int], None] = self._free.put
        """Given a slot, from the thread that had it, when one is wanted."""
        self.on_free: Callable[[], None] = lambda: None
        """Called after a slot has become free while one was wanted."""

    def take(self) -> int:
        """Wait for a free slot."""
        return self._free.get()

    def try_take(self) -> int | None:
        """A free slot, or None."""
        try:
            return self._free.get_nowait()
        except Empty:
            return None

    def start(self, slot: int, number: int, hard_ns: int) -> float:
        """Mark a job with a hard limit of so many nanoseconds as started.

        Returns:
            When that was, in monotonic seconds; 0: the worker has taken it back.
        """
        now = time.monotonic_ns()
        return now / 1e9 if self._marks.start(slot, number, now, now + hard_ns) else 0.0

    def hand_back(self, slot: int) -> None:
        """A thread needs its slot no more, or somebody else does."""
        self._marks.end(slot)
        if self.wanted:
            self.on_handed(slot)
        else:
            self._release(slot)

    def give_back(self, slot: int) -> None:
        """The task in this slot has ended on the event loop."""
        self._marks.end(slot)
        self._release(slot)

    def _release(self, slot: int) -> None:
        self._free.put(slot)
        # Looked at afterwards: whoever wants one says so first and then looks for a free one.
        if self.wanted:
            self.on_free()

"""When a child is replaced although nothing is wrong with it: after so many tasks, or over so much memory.

A child that is over its mark takes no more, and ends when what it has has ended. Its successor is started before that, by what
its tasks take in the time of a start, so that nothing stands still meanwhile; while both have tasks, they share the slots.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sized

FIRST_START_SECONDS = 1.0
"""What a start takes, as long as none was seen."""

LOOK_SECONDS = 0.1
"""Between two looks at the memory of a child that says nothing."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Wear:
    """How worn one child is.

    Args:
        jobs: what it holds.
        most_tasks: that it may be given; 0: any number.
        most_bytes: of memory; over that it takes no more. 0: any.
        memory: bytes that it has now.
    """

    __slots__ = (
        "_jobs",
        "_looked_at",
        "_memory",
        "_most_bytes",
        "_most_tasks",
        "before",
        "bytes",
        "ended",
        "first_bytes",
        "given",
        "why",
    )

    def __init__(self, jobs: Sized, most_tasks: int, most_bytes: int, memory: Callable[[], int]) -> None:
        self._jobs = jobs
        self._most_tasks = most_tasks
        self._most_bytes = most_bytes
        self._memory = memory
        self._looked_at = 0.0
        self.given = 0
        """Tasks that it was sent, but for those that were taken back."""
        self.ended = 0
        """Those of them that have ended."""
        self.bytes = 0
        """Of memory, when that was last looked at."""
        self.first_bytes = 0
        """Of memory, before its first task."""
        self.before: Wear | None = None
        """Its predecessor, whose last tasks have slots that are its own afterwards."""
        self.why = ""
        """Why it takes no more; empty: it does."""

    def held(self) -> int:
        """What it and its predecessors hold."""
        return len(self._jobs) + self._held_before()

    def room(self, room: int, slots: int) -> int:
        """How much of its room it may use.

        Args:
            room: for how many jobs it has room, those ahead of its slots included.
            slots: tasks at once.
        """
        if self.why:
            return 0
        if self._most_bytes and self.bytes * 2 > self._most_bytes:
            room = min(room, slots - len(self._jobs))  # nothing ahead: each may be the one that is too much
        if self._most_tasks:
            room = min(room, self._most_tasks - self.given)
        return room - self._held_before()

    def _held_before(self) -> int:
        if self.before is None:
            return 0
        held = self.before.held()
        if not held:
            self.before = None
        return held

    def look(self, now: float, *, ended: int) -> None:
        """Look at its memory, and whether it takes no more from now on.

        Args:
            now: monotonic seconds.
            ended: tasks that have ended since the last look.
        """
        self.ended += ended
        if self._most_tasks and self.given >= self._most_tasks and not self.why:
            self.why = f"it was given {self.given} tasks (--max-tasks-per-child)"
        if not self._most_bytes or not (ended or now - self._looked_at > LOOK_SECONDS):
            return
        self._looked_at = now
        self.bytes = self._memory()
        self.first_bytes = self.first_bytes or self.bytes
        # Not before its first task: an app that is over the mark by itself would never run any.
        if self.bytes > self._most_bytes and self.ended and not self.why:
            self.why = f"it has {self.bytes >> 20} MiB of memory (--max-memory-per-child)"

    def ends_within(self, tasks: float) -> bool:
        """Whether it will take no more when it has run so many more tasks."""
        if self.why:
            return True
        if self._most_tasks and self.given + tasks >= self._most_tasks:
            return True
        if not self._most_bytes or not self.ended:
            return False
        each = max(self.bytes - self.first_bytes, 0) / self.ended
        return each * tasks > self._most_bytes - self.bytes

    @property
    def is_too_large_itself(self) -> bool:
        """Whether its memory was over the mark before its first task."""
        return 0 < self._most_bytes < self.first_bytes


class Memory:
    """The resident memory of a process, in bytes; 0 once it has ended, and where the system does not tell.

    Args:
        pid: of the process.
    """

    def __init__(self, pid: int) -> None:
        self._file = f"/proc/{pid}/statm"

    def __call__(self) -> int:
        """What it has now."""
        try:
            with open(self._file, "rb", buffering=0) as file:
                return int(file.read(200).split()[1]) * _PAGE
        except (OSError, IndexError, ValueError):
            return 0


def can_tell_memory() -> bool:
    """Whether the system tells how much memory a process has."""
    return Memory(os.getpid())() > 0

"""A page of memory that a worker shares with one child.

The child marks in it what it has started and what it is running: so the worker knows, without a message and
also when the child has died or does not answer, and which of its parts get on. The worker writes into it which
jobs it takes back.

A recall and a start may cross. The child first marks the start and then looks at the recall; the worker first
writes the recall and then looks at the marks. So at least one of the two sees the other, and a job is never
both run and given back: when both see it, the child drops the job and says so.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

RING = 8192
"""Jobs that one child can hold at once. A job's mark is at its number modulo this."""

_RECALL_BELOW, _READER, _THREADS, _LOOP = 0, 1, 2, 3
_HEAD, _SLOT, _WORD = 8, 4, 8


@dataclass(frozen=True, slots=True)
class Running:
    """A running job: its number, and when it started and has its hard limit (monotonic nanoseconds)."""

    number: int
    started_ns: int
    limit_ns: int


@dataclass(frozen=True, slots=True)
class Answers:
    """How the parts of a child get on: numbers of the worker's questions.

    `reader` is the last that the reader of its socket has read. `threads` and `loop`: since which one the same job waits for a
    thread, or the event loop has not answered although a job waits for it; 0: since none.
    """

    reader: int
    threads: int
    loop: int


def create() -> int:
    """A file descriptor for their memory: anonymous where the system can."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("taskflow", 0)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class SharedMarks:
    """What one child of so many slots shares with the worker. Every mark is one word or one byte, written at once.

    Args:
        descriptor: of the memory; stays the caller's.
        slots: how many jobs the child runs at once.
    """

    def __init__(self, descriptor: int, slots: int) -> None:
        words = _HEAD + _SLOT * slots
        os.ftruncate(descriptor, words * _WORD + RING)
        self._slots = slots
        self._memory = mmap.mmap(descriptor, words * _WORD + RING)
        self._view = memoryview(self._memory)
        self._words = self._view[: words * _WORD].cast("Q")
        self._started = self._view[words * _WORD :]

    # --- the child's side -----------------------------------------------------------------------------------

    def start(self, slot: int, number: int, now_ns: int, limit_ns: int) -> bool:
        """Mark a job as started in a slot.

        False when it was recalled: then it must be dropped and reported.
        """
        words, base = self._words, _HEAD + slot * _SLOT
        words[base + 1] = now_ns
        words[base + 2] = limit_ns
        words[base] = number
        self._started[number % RING] = 1
        if number < words[_RECALL_BELOW]:
            words[base] = 0
            return False
        return True

    def end(self, slot: int) -> None:
        """The slot is free again; its job's outcome is on its way."""
        self._words[_HEAD + slot * _SLOT] = 0

    def answer(self, question: int, threads: int, loop: int) -> None:
        """Mark how the parts get on; the arguments are those of `Answers`."""
        words = self._words
        words[_THREADS] = threads
        words[_LOOP] = loop
        words[_READER] = question

    def answer_loop(self) -> None:
        """Mark that the event loop has answered."""
        self._words[_LOOP] = 0

    # --- the worker's side ----------------------------------------------------------------------------------

    def expect(self, first: int, count: int = 1) -> None:
        """Jobs with these numbers, from the first on, are about to be sent: they have not started."""
        begin = first % RING
        room = RING - begin
        self._started[begin : begin + count] = bytes(min(count, room))
        if count > room:
            self._started[: count - room] = bytes(count - room)

    def has_started(self, number: int) -> bool:
        """Whether the child has marked the start of this job, of those it still holds."""
        return bool(self._started[number % RING])

    def recall(self, below: int) -> None:
        """Take back every job with a smaller number that has not started.

        It never goes down: numbers only grow.
        """
        self._words[_RECALL_BELOW] = below

    def answers(self) -> Answers:
        """What the child last answered."""
        words = self._words
        return Answers(words[_READER], words[_THREADS], words[_LOOP])

    def running(self) -> Iterator[Running]:
        """The jobs that run now."""
        words = self._words
        for base in range(_HEAD, _HEAD + _SLOT * self._slots, _SLOT):
            number = words[base]
            if number:
                yield Running(number, words[base + 1], words[base + 2])

    def close(self) -> None:
        """Let go of the memory."""
        self._started.release()
        self._words.release()
        self._view.release()
        self._memory.close()

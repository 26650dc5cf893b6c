"""Answers the worker's question whether the parts of this child get on, by marks in the shared marks.

The reader of the socket answers, so that an answer proves that it reads. Of the threads and the event loop it says since which
question something waits for them: that costs nothing while tasks run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..pipe.shared_marks import SharedMarks
from .pool.threads import ThreadPool

if TYPE_CHECKING:
    from .pool.loop import LoopPool


class Progress:
    """What is known of the parts of a child; for its reader alone.

    Args:
        marks: shared with the worker.
        threads: where functions run.
        loop: where coroutines run, once there has been one.
    """

    def __init__(self, marks: SharedMarks, threads: ThreadPool, loop: Callable[[], LoopPool | None]) -> None:
        self._marks = marks
        self._threads = threads
        self._loop = loop
        self._head: object = None
        self._head_since = 0
        self._loop_since = 0

    def answer(self, question: int) -> None:
        """Mark how everything gets on."""
        head = self._threads.head()
        if head is not self._head:
            self._head, self._head_since = head, question
        loop = self._loop()
        asks = False
        if loop is None or loop.head() is None:
            self._loop_since = 0
        elif not self._loop_since or loop.answered >= self._loop_since:
            self._loop_since = question
            asks = True
        self._marks.answer(question, self._head_since if head is not None else 0, self._loop_since)
        if asks and loop is not None:
            loop.ask(question, self._marks.answer_loop)

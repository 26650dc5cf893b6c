"""Is a child alive, in the sense that matters: does it get on with what waits for it?

An open socket proves nothing. A child is asked now and then while it has work, and each of its parts answers with a mark in the
shared marks: the reader of its socket, its threads, its event loop. A part is stuck when something waits for it and its mark has
stood still for some seconds. A child that computes in all its slots is not: nothing could be expected of it.
"""

from __future__ import annotations

from ...pipe.shared_marks import SharedMarks
from ..timings import TIMINGS, Timings

AGAIN_SECONDS = 1.0
"""Seconds: if a child gives back everything it was given twice within this time, it counts as doing so all the time between."""

LONGEST_STEP = 0.25
"""Seconds that one look can add: a worker that was itself stopped for a minute has not seen anybody stand still."""


class Stillness:
    """Adds up for how many seconds something has been wrong, as far as the looks have seen."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def look(self, still: bool, step_seconds: float) -> None:
        """How it is now."""
        self.seconds = self.seconds + step_seconds if still else 0.0


class _Part:
    """A part that says since which question something waits for it, or 0."""

    def __init__(self) -> None:
        self.still = Stillness()
        self._since = 0

    def look(self, since: int, step_seconds: float, *, busy: bool = False) -> None:
        self.still.look(bool(since) and since == self._since and not busy, step_seconds)
        self._since = since


class Liveness:
    """What one child has shown.

    Args:
        marks: shared with it.
        timings: how long something may be as it should not be.
    """

    def __init__(self, marks: SharedMarks, timings: Timings = TIMINGS) -> None:
        self._marks = marks
        self._timings = timings
        self._asked = 0
        self._asked_at = 0.0
        self._looked_at = 0.0
        self._gave_back_at = 0.0
        self._unsaid: set[int] = set()
        self._kept: set[int] = set()
        self._reader = Stillness()
        self._threads = _Part()
        self._loop = _Part()
        self._verdict = Stillness()
        self._slot = Stillness()
        self._fruitless = Stillness()
        self._has_late = False

    def question(self, now: float) -> int:
        """The number of a question that is put now; 0 while the one before has no answer."""
        if self._marks.answers().reader < self._asked:
            return 0
        self._asked += 1
        self._asked_at = now
        return self._asked

    def is_quiet(self, now: float) -> bool:
        """Whether there is nothing to find out: it has answered every question, and no answer was a reason to ask again."""
        answers = self._marks.answers()
        answered = answers.reader >= self._asked and not (
            answers.threads or answers.loop or self._unsaid or self._kept
        )
        return answered and now - self._gave_back_at > AGAIN_SECONDS

    def is_due(self, now: float) -> bool:
        """Whether it is time for another question."""
        return now - self._asked_at > self._timings.ask

    @property
    def silent_for(self) -> float:
        """Seconds for which the last question has had no answer."""
        return self._reader.seconds

    def gave_back(self, now: float, *, idle: bool) -> None:
        """Something was taken back from it unstarted. `idle`: although it ran nothing."""
        self._has_late = True
        if idle:
            self._gave_back_at = now

    def got_on(self) -> None:
        """It has started something, or has said how something ended."""
        self._has_late = False
        self._gave_back_at = 0.0

    def look(self, now: float, *, busy: bool, unsaid: set[int], kept: set[int]) -> None:
        """One look at the marks.

        Args:
            now: monotonic seconds.
            busy: whether every slot has a task, so that nothing new can start.
            unsaid: the jobs that have started and run no more, without a verdict.
            kept: the jobs whose verdict is here, and that still have a slot.
        """
        step = min(now - self._looked_at, LONGEST_STEP)
        self._looked_at = now
        answers = self._marks.answers()
        self._reader.look(answers.reader < self._asked, step)
        self._threads.look(answers.threads, step, busy=busy)
        self._loop.look(answers.loop, step)
        self._verdict.look(bool(self._unsaid & unsaid), step)
        self._unsaid = self._unsaid & unsaid or unsaid
        self._slot.look(bool(self._kept & kept), step)
        self._kept = self._kept & kept or kept
        self._fruitless.look(now - self._gave_back_at < AGAIN_SECONDS, step)

    def wrong(self, seconds: float, *, work_waits: bool) -> str:
        """What has been wrong with it for more than so many seconds; "" when nothing has.

        Args:
            seconds: how long.
            work_waits: whether work waits for it that was not sent to it; of that which was sent it knows itself.
        """
        if self._reader.seconds > seconds and (work_waits or self._has_late):
            return f"it has read nothing for {self._reader.seconds:.0f} s"
        if self._loop.still.seconds > seconds:
            return f"its event loop has not answered for {self._loop.still.seconds:.0f} s while a coroutine waits to start"
        if self._threads.still.seconds > seconds:
            return (
                f"none of its threads has taken what waits for them for {self._threads.still.seconds:.0f} s"
            )
        if self._verdict.seconds > seconds and not self._reader.seconds:
            return f"a task in it ended {self._verdict.seconds:.0f} s ago, and its verdict did not come"
        # It has a longer time than other parts: its thread may be in a log handler of the user's, which may wait.
        if self._slot.seconds > self._timings.slot:
            return f"a task in it ended {self._slot.seconds:.0f} s ago, and its slot is not free"
        if (
            self._fruitless.seconds > seconds + AGAIN_SECONDS
        ):  # whatever else is known says more, and is known by then
            return f"it has given back unstarted all that it was given for {self._fruitless.seconds:.0f} s"
        return ""

    def is_stranded(self) -> bool:
        """Whether it holds a task that has ended and will not say how."""
        return self._verdict.seconds > self._timings.stuck

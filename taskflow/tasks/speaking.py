"""What the running task can say of itself: the part of `CurrentTask` that goes to whoever watches it."""

from __future__ import annotations

import operator
import time
from math import isfinite
from typing import Protocol, SupportsFloat, SupportsIndex

from .task_reports import TaskReports

Number = SupportsFloat | SupportsIndex

MOST_COUNTED = 2**53
"""Beyond that, programs in other languages do not read a whole number as it is written."""


class Attempting(Protocol):
    """The attempt that a running task is, as far as it says something of itself."""

    @property
    def reports(self) -> TaskReports:
        """What it reports to."""

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody has asked for its end."""

    def would_end(self, error: BaseException) -> bool:
        """Whether the task has failed for good if the attempt raises this."""

    @property
    def log_level(self) -> int:
        """From which level on what it logs is kept with it; 0: from none."""


class Speaking:
    """A running task, as far as it says something of itself."""

    __slots__ = ()

    _attempt: Attempting | None
    """None: a call that no worker makes. What it says, nobody hears."""

    @property
    def cancelled(self) -> bool:
        """Whether somebody has cancelled this task: for code that `TaskCancelled` does not reach, such as a thread of the task's
        own, or that has caught it to clean up. It is set before that is raised. However the attempt ends, it is not run again.
        """
        return self._attempt is not None and self._attempt.is_cancelled

    def is_last(self, error: BaseException) -> bool:
        """Whether the task has failed for good if this attempt raises the exception: no retry is left, or none is made for such
        an error. For what is to be done once, and not with each attempt. The task's retry policy is asked.

        Args:
            error: what is about to be raised.

        Example:
            >>> except OSError as error:                                      # doctest: +SKIP
            ...     if current_task().is_last(error):
            ...         tell_the_customer()
            ...     raise
        """
        return self._attempt is None or self._attempt.would_end(error)

    def progress(self, done: Number, total: Number | None = None, note: str = "") -> None:
        """Say how far the task is: for `result.watch()`, `result.info()` and `taskflow task watch`.

        As often as you like, and from any thread: the latest is written, at most twice a second, and the last with the outcome.

        Args:
            done: what is done, in whatever unit the task counts.
            total: of how much; None: nobody knows yet.
            note: a few words beside it; of more than 200 characters the first.

        Raises:
            ValueError: a number is none, or is infinite.

        Example:
            >>> for number, row in enumerate(rows, start=1):                  # doctest: +SKIP
            ...     current_task().progress(number, len(rows), row.name)
        """
        so_far, whole, words = _number(done), None if total is None else _number(total), str(note)
        if self._attempt is not None:
            self._attempt.reports.progress(so_far, whole, words)

    def log(self, text: str) -> None:
        """Say a line that is kept with the task, as long as the task is kept: the last 500 lines, or 64 KB.

        Args:
            text: the line; of more than 2000 characters the first. It is stored as it is: what is secret does not belong there.
        """
        if self._attempt is not None:
            self._attempt.reports.line(str(text), "", time.time())

    def heartbeat(self) -> None:
        """Say that the task gets on, where there is no progress to tell: `taskflow task inspect` and `result.info()` show when it
        has last been heard of. It extends no limit and no lease.
        """
        if self._attempt is not None:
            self._attempt.reports.beat()


def _number(value: Number) -> float:
    """What is counted, as it can be stored: whole where it is whole. numpy's numbers are numbers, too."""
    try:
        number: float = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = float(value)
    if abs(number) > MOST_COUNTED or not isfinite(number):
        raise ValueError("progress is told in finite numbers, up to 2**53")
    return number

"""How the function of an attempt is called in a thread: within its soft limit, and with what it returns awaited elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import LazyResult, TaskCancelled, TaskTimeout
from .attempt import Attempt
from .limits import ThreadLimit
from .returned import PLAIN, is_awaitable

Finish = Callable[[Attempt, Any], Any]
"""Awaits on an event loop what a function has returned, within the attempt's limits, and gives the value."""


class ThreadCall:
    """Calls functions in the thread that made it.

    Args:
        finish: see `Finish`.
    """

    __slots__ = ("finish", "limit")

    def __init__(self, finish: Finish) -> None:
        self.limit = ThreadLimit()
        self.finish = finish

    def call(self, attempt: Attempt) -> Any:
        """Call the attempt's function; what the pipeline is given."""
        limit, plan = self.limit, attempt.plan
        try:
            limit.open(attempt.job.id, attempt.started_at + plan.soft_seconds)
            value = plan.task._call(attempt.kwargs)
            attempt.asked = limit.close()
            if type(value) not in PLAIN and is_awaitable(value):
                value = self.finish(attempt, value)
        except BaseException as error:
            # Also when the exception came as the limit was being closed: it must not be left open.
            attempt.asked = limit.close() or attempt.asked
            _say_why(error, attempt)
            raise
        return value


def nobody_awaits(attempt: Attempt, awaitable: Any) -> Any:
    """The `Finish` of whoever has no event loop."""
    raise LazyResult(
        f"the task returned a {type(awaitable).__name__}, and there is no event loop to await it"
    )


def _say_why(error: BaseException, attempt: Attempt) -> None:
    """Python raises the bare type in the thread; say what it means."""
    if error.args:
        return
    if isinstance(error, TaskTimeout):
        error.args = (attempt.limit,)
    elif isinstance(error, TaskCancelled):
        error.args = ("cancelled",)

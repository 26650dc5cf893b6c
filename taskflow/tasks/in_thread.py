"""How the function of an attempt is called in a thread: within its soft limit, and with what it returns awaited elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from ..errors import LazyResult, TaskCancelled, TaskTimeout
from .attempt import Attempt
from .returned import PLAIN, is_awaitable

Finish = Callable[[Attempt, Any], Any]
"""Awaits on an event loop what a function has returned, within the attempt's limits, and gives the value."""


class Limit(Protocol):
    """The right to raise in the thread of a task while its function runs."""

    deadline: float
    """Of the task that runs, or ran last: monotonic seconds."""

    def open(self, job: int, deadline: float) -> None:
        """A task begins; `deadline` is monotonic seconds."""

    def close(self) -> type[BaseException] | None:
        """It has ended; what was raised last, if anything."""


class ThreadCall:
    """Calls functions in the thread that made it.

    Args:
        finish: see `Finish`.
        limit: how its time limit is raised.
    """

    __slots__ = ("finish", "limit")

    def __init__(self, finish: Finish, limit: Limit) -> None:
        self.limit = limit
        self.finish = finish

    def call(self, attempt: Attempt) -> Any:
        """Call the attempt's function; what the pipeline is given."""
        limit, plan = self.limit, attempt.plan
        try:
            limit.open(attempt.job.number, attempt.started_at + plan.soft_seconds)
            if plan.desk.cancelled and attempt.is_cancelled:
                # It was noted before this thread could be found: from here on it can.
                attempt.asked = TaskCancelled
                raise TaskCancelled("cancelled")
            around = plan.task._around
            if around is None:
                value = plan.task._call(attempt.kwargs)
                attempt.asked = limit.close()
                if type(value) not in PLAIN and is_awaitable(value):
                    value = self.finish(attempt, value)
            else:
                value = around.run(attempt.current, attempt.kwargs, partial(self._inside, attempt))
                attempt.asked = limit.close() or attempt.asked
        except BaseException as error:
            # Also when the exception came as the limit was being closed: it must not be left open.
            attempt.asked = limit.close() or attempt.asked
            _say_why(error, attempt)
            raise
        return value

    def _inside(self, attempt: Attempt, kwargs: dict[str, Any]) -> Any:
        """Call the function from inside its middleware, which is given the value: what is to be awaited is awaited before."""
        value = attempt.plan.task._call(kwargs)
        if type(value) not in PLAIN and is_awaitable(value):
            deadline = self.limit.deadline
            attempt.asked = self.limit.close()  # the loop has a limit of its own
            value = self.finish(attempt, value)
            self.limit.open(attempt.job.number, deadline)
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

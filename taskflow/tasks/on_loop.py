"""How the coroutine of an attempt is awaited on an event loop: its limit and its cancel are raised in it as what they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from math import inf
from typing import Any

from .. import errors
from .attempt import Attempt
from .returned import is_awaitable


class TaskTimeout(errors.TaskTimeout, asyncio.CancelledError):
    """The soft limit, at an await. Libraries know it as the cancellation that it is and clean up: `TaskGroup`, `wait_for`,
    locks and drivers look for `CancelledError`, and would leave their tasks and connections behind for any other.
    """


class TaskCancelled(errors.TaskCancelled, asyncio.CancelledError):
    """The operator's cancel, likewise."""


for _kind in (TaskTimeout, TaskCancelled):
    _kind.__module__ = errors.__name__


class LoopLimits:
    """The soft limits and cancels of what runs on one event loop.

    There is one timer, at the first limit that may pass: one for each attempt would cost more than a quick task does.

    Args:
        loop: the loop; all is called on it.
    """

    __slots__ = ("_at", "_context", "_timer", "loop", "running")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.running: set[LoopCall] = set()
        """Not by the ids of tasks: two queues may have the same, and one that was lost and taken again runs here twice."""
        self._context = Context()
        """Of the timer, which outlives the attempt that it was set for: what is in that one's context goes with it."""
        self._at = inf
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, deadline: float) -> None:
        """Something that runs has its limit at this time of the loop."""
        if deadline < self._at:
            self.close()
            self._at = deadline
            self._timer = self.loop.call_at(deadline, self._look, context=self._context)

    def cancel(self, number: int) -> None:
        """Cancel the job of this number, if it runs here."""
        for calls in [one for one in self.running if one.attempt.job.number == number]:
            calls.cancel()

    def cancel_all(self) -> None:
        """Cancel all that runs here and was not cancelled yet."""
        for calls in list(self.running):
            if calls.attempt.asked is not errors.TaskCancelled:
                calls.cancel()

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        """Raise what is due, and look again at the first limit that is not."""
        now, self._at = self.loop.time(), inf
        late = [calls for calls in self.running if calls.deadline <= now]
        others = (calls.deadline for calls in self.running if calls.deadline > now)
        self.watch(min(others, default=inf))
        for calls in late:
            calls.expire()


class LoopCall(Coroutine[Any, Any, Any]):
    """Drives one attempt on an event loop: `start` it with a coroutine in which the attempt is run by `call`, or what its
    function has returned is awaited by `finish`.

    The `asyncio.Task` is cancelled as asyncio does it, so whatever the coroutine waits for is cancelled too; at its own await
    the `CancelledError` is replaced by what was asked for. One that nobody has asked for passes as it is.

    Args:
        attempt: the attempt.
        limits: those of the loop that it runs on.
    """

    __slots__ = ("__weakref__", "_coroutine", "_due", "_limits", "attempt", "deadline", "send", "task")

    task: asyncio.Task[Any]
    send: Callable[[Any], Any]
    """As of a coroutine: the method of the one that is driven, since a frame of ours would be one for each step of a task."""
    _coroutine: Coroutine[Any, Any, Any]

    def __init__(self, attempt: Attempt, limits: LoopLimits) -> None:
        self.attempt = attempt
        self.deadline = inf
        """When its limit passes, by the loop's clock; inf: it does not, or has."""
        self._limits = limits
        self._due: TaskTimeout | TaskCancelled | None = None

    def start(self, coroutine: Coroutine[Any, Any, Any], context: Context) -> asyncio.Task[Any]:
        """Run this coroutine in this context; `ended` is to be called when it has ended."""
        self._coroutine = coroutine
        self.send = coroutine.send
        limits = self._limits
        limits.running.add(self)
        self.task = asyncio.Task(self, loop=limits.loop, context=context)
        return self.task

    def call(self, attempt: Attempt) -> Awaitable[Any]:
        """Call the attempt's function, for the pipeline to await it; its limit begins."""
        limits = self._limits
        self.deadline = deadline = limits.loop.time() + attempt.plan.soft_seconds
        limits.watch(deadline)
        task = attempt.plan.task
        if task._around is not None:
            return task._around.arun(attempt.current, attempt.kwargs, task._call)
        awaitable: Awaitable[Any] = task._call(attempt.kwargs)
        return awaitable

    async def finish(self, value: Any) -> Any:
        """Await what the function has returned, and what that gives, in what is left of the attempt's limit."""
        limits = self._limits
        left = self.attempt.started_at + self.attempt.plan.soft_seconds - time.monotonic()
        self.deadline = limits.loop.time() + left
        limits.watch(self.deadline)
        while is_awaitable(value):
            value = await value
        return value

    def ended(self) -> None:
        """It has ended: nothing may be raised any more."""
        self._limits.running.discard(self)

    def expire(self) -> None:
        """The soft limit has passed."""
        self.deadline = inf
        self._interrupt(errors.TaskTimeout, TaskTimeout(self.attempt.limit))

    def cancel(self) -> None:
        """The operator's cancel."""
        self._interrupt(errors.TaskCancelled, TaskCancelled("cancelled"))

    def _interrupt(self, kind: type[BaseException], error: TaskTimeout | TaskCancelled) -> None:
        """Raise the exception in the coroutine, where it waits."""
        if not self.task.done():
            self.attempt.asked = kind
            self._due = error
            self.task.cancel()

    # --- what an `asyncio.Task` asks of a coroutine ---------------------------------------------------------

    def throw(self, kind: Any, value: Any = None, trace: Any = None, /) -> Any:
        """As of a coroutine."""
        error = kind if value is None else value
        if self._due is not None and (
            error is asyncio.CancelledError or isinstance(error, asyncio.CancelledError)
        ):
            error, self._due = self._due, None
            # It has been told. What it awaits while it cleans up is not to think that it is being cancelled still.
            self.task.uncancel()
        return self._coroutine.throw(error)

    def close(self) -> None:
        """As of a coroutine."""
        self._coroutine.close()

    def __await__(self) -> Any:
        return self._coroutine.__await__()

    def __getattr__(self, name: str) -> Any:
        # `cr_frame`, `cr_await`, `__qualname__`: what debuggers and other frameworks look at.
        return getattr(self._coroutine, name)

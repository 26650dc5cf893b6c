"""How the coroutine of an attempt is awaited on an event loop: its limit and its cancel are raised in it as what they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Coroutine
from contextvars import Context
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


class LoopCall(Coroutine[Any, Any, Any]):
    """Drives one attempt on an event loop: `start` it with a coroutine in which the attempt is run by `call`, or what its
    function has returned is awaited by `finish`.

    The `asyncio.Task` is cancelled as asyncio does it, so whatever the coroutine waits for is cancelled too; at its own await
    the `CancelledError` is replaced by what was asked for. One that nobody has asked for passes as it is.

    Args:
        attempt: the attempt.
        loop: where it runs.
    """

    __slots__ = ("__weakref__", "_coroutine", "_due", "_limit", "_loop", "attempt", "task")

    task: asyncio.Task[Any]
    _coroutine: Coroutine[Any, Any, Any]

    def __init__(self, attempt: Attempt, loop: asyncio.AbstractEventLoop) -> None:
        self.attempt = attempt
        self._loop = loop
        self._due: TaskTimeout | TaskCancelled | None = None
        self._limit: asyncio.TimerHandle | None = None

    def start(self, coroutine: Coroutine[Any, Any, Any], context: Context) -> asyncio.Task[Any]:
        """Run this coroutine in this context; `ended` is to be called when it has ended."""
        self._coroutine = coroutine
        self.task = asyncio.Task(self, loop=self._loop, context=context)
        return self.task

    def call(self, attempt: Attempt) -> Awaitable[Any]:
        """Call the attempt's function, for the pipeline to await it; its limit begins."""
        self._limit = self._loop.call_later(attempt.plan.soft, self.expire)
        awaitable: Awaitable[Any] = attempt.plan.task._call(attempt.kwargs)
        return awaitable

    async def finish(self, value: Any) -> Any:
        """Await what the function has returned, and what that gives, in what is left of the attempt's limit."""
        left = self.attempt.started + self.attempt.plan.soft - time.monotonic()
        self._limit = self._loop.call_later(left, self.expire)
        while is_awaitable(value):
            value = await value
        return value

    def ended(self) -> None:
        """Nothing may be raised any more."""
        if self._limit is not None:
            self._limit.cancel()

    def expire(self) -> None:
        """The soft limit has passed."""
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

    def send(self, value: Any) -> Any:
        """As of a coroutine."""
        return self._coroutine.send(value)

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

"""A coroutine into which its limit and its cancel are raised as what they are."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from ... import errors


class TaskTimeout(errors.TaskTimeout, asyncio.CancelledError):
    """The soft limit, at an await. Libraries know it as the cancellation that it is and clean up: `TaskGroup`, `wait_for`,
    locks and drivers look for `CancelledError`, and would leave their tasks and connections behind for any other.
    """


class TaskCancelled(errors.TaskCancelled, asyncio.CancelledError):
    """The operator's cancel, likewise."""


for _kind in (TaskTimeout, TaskCancelled):
    _kind.__module__ = errors.__name__


class Driven(Coroutine[Any, Any, None]):
    """Drives a coroutine for an `asyncio.Task`.

    The task is cancelled as asyncio does it, so whatever the coroutine waits for is cancelled too; at its own await
    the `CancelledError` is replaced by what was asked for. One that nobody has asked for passes as it is.

    Args:
        coroutine: what is driven.
    """

    __slots__ = ("__weakref__", "_coroutine", "_due", "task")

    task: asyncio.Task[None]

    def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._coroutine = coroutine
        self._due: TaskTimeout | TaskCancelled | None = None

    def interrupt(self, error: TaskTimeout | TaskCancelled) -> None:
        """Raise the exception in the coroutine, where it waits."""
        self._due = error
        self.task.cancel()

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

"""`Task`: a function that can be called, and enqueued."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from inspect import unwrap
from math import isfinite
from typing import Any, ParamSpec, TypeVar

from ..message.message_crypto import JSON
from ..message.returns import Returns
from ..message.signature import Signature
from ..message.task_message import TaskMessage
from ..options import HARD_TIMEOUT_HEADER, TaskOptions
from ..retry import RetryPolicy
from . import context

# `Sender` for functions that hold one and were sent by value when it was at home here: their pickles look for it under this name.
from .sender import Backend, CallMaker, Sender  # noqa: F401

P = ParamSpec("P")
R = TypeVar("R")

SOFT_FIRST = 0.5
"""Seconds that the soft limit has at least before the hard one."""


class BaseTask(CallMaker[P, R]):
    """What functions and coroutine functions have in common when they are tasks. Made by `@app.task`.

    Attributes:
        name: what it is called on the wire.
        function: the function itself.
        queue: where it goes unless a call says otherwise.
        is_async: whether it is a coroutine function.
    """

    _content_type = JSON

    def __init__(
        self,
        backend: Backend,
        function: Callable[..., Any],
        name: str,
        options: TaskOptions,
        policy: RetryPolicy,
        *,
        bind: bool,
    ) -> None:
        super().__init__(backend, name, options, Signature.of(function, skip_first=bind), Returns(function))
        self.function = function
        self._policy = policy
        self._bind = bind
        self._source: str = getattr(getattr(unwrap(function), "__code__", None), "co_filename", "")
        """The file that its function is in; "" when that is not known."""
        self.__name__ = getattr(function, "__name__", name)
        self.__qualname__ = getattr(function, "__qualname__", name)
        self.__module__ = getattr(function, "__module__", __name__)
        self.__doc__ = getattr(function, "__doc__", None)
        self.__wrapped__ = function

    def __repr__(self) -> str:
        return f"<task {self.name} (queue {self.queue})>"

    def _decode(self, payload: bytes | None) -> dict[str, Any]:
        """The arguments of a stored call, converted by the function's annotations.

        Raises:
            InvalidArguments: they do not fit.
        """
        return self._signature.decode(payload, name=self.name)

    def _call(self, kwargs: dict[str, Any]) -> Any:
        """Call the function with decoded arguments, inside the context of the running task."""
        if self._bind:
            return self.function(context.current_task(), **kwargs)
        return self.function(**kwargs)

    def _hard_limit(self, message: TaskMessage, soft_seconds: float, margin_seconds: float) -> float:
        """Seconds after which the process that runs this message is killed."""
        seconds = (
            _seconds(message.headers.get(HARD_TIMEOUT_HEADER))
            or self._options.hard_timeout
            or soft_seconds + margin_seconds
        )
        # The soft limit gets its chance first, also where both are the same.
        return max(seconds, soft_seconds + SOFT_FIRST)

    def _direct(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if not self._bind:
            return self.function(*args, **kwargs)
        stand_in = TaskMessage(type=self.name, payload=None, id="", queue=self.queue)
        return self.function(context.running(self.name) or context.direct(stand_in), *args, **kwargs)


class Task(BaseTask[P, R]):
    """A function that is a task: call it, or enqueue a call of it."""

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now."""
        return self._direct(args, kwargs)  # type: ignore[no-any-return]


class AsyncTask(BaseTask[P, R]):
    """A coroutine function that is a task: await it, or enqueue a call of it."""

    is_async = True

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Call the coroutine function here and now."""
        return self._direct(args, kwargs)  # type: ignore[no-any-return]


def _seconds(text: str | None) -> float | None:
    """A header as a positive number of seconds, if it is one: others may have written it."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if isfinite(value) and value > 0 else None

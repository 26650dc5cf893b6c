"""`Task`: a function that can be called, and enqueued."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from inspect import signature, unwrap
from math import isfinite
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack

from ..errors import InvalidArguments, InvalidOption
from ..message.content import JSON, MSGPACK
from ..message.returns import Returns
from ..message.signature import Signature
from ..message.task_message import TaskMessage
from ..options import HARD_TIMEOUT_HEADER, Options, Scope, TaskOptions
from ..options.refused import CELERYS, TASK
from ..options.table import BY_SPELLING, DEFAULT_MAX_RETRIES, KEPT_RESULT_SECONDS
from ..retry import RetryPolicy
from . import context
from .backend import Backend, Injects, Surrounds
from .hooks import Hooks
from .result import AsyncResult

# `Sender` for functions that hold one and were sent by value when it was at home here: their pickles look for it under this name.
from .sender import CallMaker, Sender  # noqa: F401

P = ParamSpec("P")
R = TypeVar("R")

if TYPE_CHECKING:
    from ..errors import Retry
    from .request import Request

_METHODS = {"bind", "name", "wait", "stop", "retry", "delay", "headers", "group", "id", "base"}
"""Options whose names mean something else as an attribute of a task."""

OF_CLASSES = frozenset(
    {*CELERYS, *(name for name, option in BY_SPELLING.items() if option.is_for(name, Scope.TASK))} - _METHODS
)
"""Options that a class given as `base=` may have as attributes. On a task they are not set afterwards."""

SOFT_FIRST = 0.5
"""Seconds that the soft limit has at least before the hard one."""


class BaseTask(CallMaker[P, R], Hooks):
    """What functions and coroutine functions have in common when they are tasks. Made by `@app.task`.

    Attributes:
        name: what it is called on the wire.
        function: the function itself.
        queue: where it goes unless a call says otherwise.
        is_async: whether it is a coroutine function.
    """

    _content_type = JSON
    _hooks: frozenset[str] = frozenset()
    """Which of the hooks its class has."""
    _written: Mapping[str, Any]
    """The options of its declaration, as they were written there."""

    def __init__(self, *declared: Any, **how: Any) -> None:
        # A class given as `base=` may have an `__init__` of its own, without arguments, and call this one.
        if declared:
            self._declare(*declared, **how)

    def _declare(
        self,
        backend: Backend,
        function: Callable[..., Any],
        name: str,
        options: TaskOptions,
        policy: RetryPolicy,
        *,
        bind: bool,
        throws: tuple[type[BaseException], ...] = (),
        injected: frozenset[str] = frozenset(),
    ) -> None:
        """What the app makes of a function.

        Args:
            backend: the app.
            function: the function.
            name: what it is called on the wire.
            options: of the app and the task.
            policy: when it is tried again.
            bind: whether the running task is the first argument.
            throws: what it is expected to raise.
            injected: names of parameters that are not in its payload.
        """
        if options.pool and options.pool != "processes" and (options.pool == "async") != self.is_async:
            raise InvalidOption(
                f'task {name} has pool="{options.pool}", and is '
                + (
                    "a coroutine function, which runs on an event loop"
                    if self.is_async
                    else "no coroutine function"
                )
                + ': leave pool out, or ask for "processes"'
            )
        kind, returns = Signature, Returns
        if options.serializer:
            # Only here: most apps have no such task.
            from ..message.msgpack_signature import MsgpackReturns, MsgpackSignature

            kind, returns = MsgpackSignature, MsgpackReturns
            self._content_type = MSGPACK
        takes = kind.of(function, skip_first=bind, injected=injected)
        CallMaker.__init__(self, backend, name, options, takes, returns(function))
        self.function = function
        self._policy = policy
        self._throws = throws
        self._bind = bind
        self._injects: Injects | None = None
        """What makes the arguments that are not in its payload; None: there are none."""
        self._around: Surrounds | None = None
        """What is around the call of its function, with arguments that are not in the payload; None: nothing."""
        self._source: str = getattr(getattr(unwrap(function), "__code__", None), "co_filename", "")
        """The file that its function is in; "" when that is not known."""
        self.__name__ = getattr(function, "__name__", name)
        self.__qualname__ = getattr(function, "__qualname__", name)
        self.__module__ = getattr(function, "__module__", __name__)
        self.__doc__ = getattr(function, "__doc__", None)
        self.__wrapped__ = function

    def __repr__(self) -> str:
        return f"<task {self.name} (queue {self.queue})>"

    @property
    def app(self) -> Any:
        """The app that it belongs to."""
        return self._backend

    @property
    def max_retries(self) -> int:
        """How many retries it may have, unless a call says otherwise."""
        most = self._options.max_retries
        return DEFAULT_MAX_RETRIES if most is None else most

    @property
    def request(self) -> Request:
        """As `self.request` in a task with `bind=True`: the facts about the attempt at it that is running here, or about a call
        that no worker makes.
        """
        return self._running().request

    def retry(self, reason: str = "", **how: Any) -> Retry:
        """As `self.retry(...)` in a task with `bind=True`; see `CurrentTask.retry`."""
        asked: Retry = self._running().retry(reason, **how)
        return asked

    def run(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function here and now, whatever a class given as `base=` makes of a call of the task."""
        return self._direct(args, kwargs)

    def apply(
        self,
        args: Sequence[Any] | None = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        throw: bool = False,
        **options: Unpack[Options],
    ) -> AsyncResult[R]:
        """Run the task here, as in eager mode: with all that a worker would decide, its retries at once.

        Args:
            args: its positional arguments.
            kwargs: its arguments by name.
            throw: raise what it failed with.
            **options: as for `apply_async`.

        Returns:
            A handle on what came of it; the result is kept, whatever `retention` says.

        Example:
            >>> resize.apply(("a.png",)).get()                         # doctest: +SKIP
            'a-small.png'
        """
        own = self.options(**options)
        if not own._options.retention:
            own = own.options(retention=KEPT_RESULT_SECONDS)
        new = self._make_call(*self._given(args, kwargs), own._options)
        return self._backend._run_here(self, new, propagate=throw)

    if not TYPE_CHECKING:  # who checks types is to hear of a name that is misspelt

        def __getattr__(self, name: str) -> Any:
            why = TASK.get(name, "") if not name.startswith("_") else ""
            whose = f"task {self.__dict__.get('name', '')!r} has no attribute {name!r}"
            raise AttributeError(f"{whose}: {why}" if why else whose)

        def __setattr__(self, name: str, value: Any) -> None:
            if name in OF_CLASSES or (name in TASK and type(self) in (Task, AsyncTask)):
                raise AttributeError(
                    f"{name!r} of task {self.name!r} is not set afterwards: give it to the declaration, @app.task({name}=...)"
                )
            super().__setattr__(name, value)

    def _running(self) -> context.CurrentTask:
        """The running task, if it is an attempt at this one; else what stands for a call that no worker makes."""
        found = context.running(self.name)
        if found is not None:
            return found
        stand_in = TaskMessage(
            type=self.name, payload=None, id="", queue=self.queue, max_retries=self.max_retries
        )
        return context.direct(stand_in, self)

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
        self._refuse_uninjected(args, kwargs)
        if not self._bind:
            return self.function(*args, **kwargs)
        return self.function(self._running(), *args, **kwargs)

    def _refuse_uninjected(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Only a worker, and eager mode, make what is injected: a plain call is one of the function."""
        injected = self._signature.parameters.injected
        if not injected:
            return
        given = signature(self.function).bind_partial(*(None,) * self._bind, *args, **kwargs).arguments
        for name in sorted(injected - given.keys()):
            raise InvalidArguments(
                f"task {self.name!r}: argument `{name}` is injected where a worker runs the task; a direct call is one of the "
                f"function, so give it: {self.__name__}(..., {name}=...)"
            )


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

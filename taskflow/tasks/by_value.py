"""Functions that are no tasks, sent by value: `app.submit(lambda: crunch(1))`.

Two tasks that every app with signing keys has, one for functions and one for coroutine functions, take a
function and its arguments as cloudpickle. Before one byte of it is unpickled, the worker has checked the
signature of the message.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar, Unpack, overload

from ..broker.commands.enqueue import NewTask, Terms
from ..errors import ConfigurationError, InvalidArguments, InvalidOption, NotForThisWorker
from ..message import by_value
from ..message.content import CLOUDPICKLE, CONTENT_TYPE_HEADER
from ..message.returns import Returns
from ..options import Options, TaskOptions, merge
from ..retry import RetryPolicy
from .backend import Backend
from .result import AsyncResult
from .sender import Sender
from .task import BaseTask

P = ParamSpec("P")
R = TypeVar("R")

CALL = "taskflow:call"
"""The name of the task that calls functions."""

CALL_ASYNC = "taskflow:call-async"
"""The name of the task that awaits coroutine functions."""

_APP = "app"
_TASK = "task"


class ByValueTask(BaseTask[..., Any]):
    """A task whose payload is a function with its arguments.

    Args:
        backend: the app.
        name: `CALL` or `CALL_ASYNC`.
        options: the app's defaults.
        tasks: the app's tasks by name: they and the app itself travel as references, everything else by value.
    """

    _content_type = CLOUDPICKLE

    def __init__(
        self, backend: Backend, name: str, options: TaskOptions, tasks: Mapping[str, BaseTask[Any, Any]]
    ) -> None:
        # A pickled function has no bytes that another process would make in the same way, so there is no
        # lock on it.
        super().__init__(backend, _stub, name, replace(options, unique=None), RetryPolicy.of(), bind=False)
        self.is_async = name == CALL_ASYNC
        self._source = ""
        self._tasks = tasks

    def _make_call(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: TaskOptions,
        terms: Terms | None = None,
    ) -> NewTask:
        """A call as a message, and when it is to run."""
        if not args or not callable(args[0]):
            raise InvalidArguments(f"task {self.name!r}: the first argument is the function to call")
        if options.unique is not None:
            raise InvalidOption(
                "option `unique` compares arguments, and a function that travels by value has none that could be "
                "compared; make it a task, or give the call an `id`"
            )
        payload = by_value.dumps(
            by_value.call_of(args, kwargs),
            refer=self._refer,
            limit=self._backend._max_payload,
            name=self.name,
        )
        headers = {**(options.headers or {}), CONTENT_TYPE_HEADER: CLOUDPICKLE}
        return self._build(payload, replace(options, headers=headers), lock_seconds=0)

    def _decode(self, payload: bytes | None) -> dict[str, Any]:
        """The function and its arguments; only after the signature was checked."""
        return dict(by_value.arguments(by_value.loads(payload or b"", resolve=self._resolve)))

    def _call(self, kwargs: dict[str, Any]) -> Any:
        """Call the function that came."""
        return kwargs["function"](*kwargs["args"], **kwargs["kwargs"])

    def sender(self, options: TaskOptions) -> Sender[..., Any]:
        """Enqueues calls with the app's defaults and these options."""
        return Sender(self, merge(self._options, options))

    def _refer(self, value: object) -> by_value.Reference | None:
        if value is self._backend:
            return _APP, ""
        if isinstance(value, BaseTask) and self._tasks.get(value.name) is value:
            return _TASK, value.name
        return None

    def _resolve(self, reference: by_value.Reference) -> Any:
        kind, name = reference
        if kind == _APP:
            return self._backend
        if kind == _TASK and name in self._tasks:
            return self._tasks[name]
        raise NotForThisWorker("uses a task that this app does not know")


def _stub(function: Any, args: Any, kwargs: Any) -> None:
    """What the two tasks are declared with; what they call comes with the message."""


class Submit:
    """`app.submit(function, *args, **kwargs)`: enqueue a call of any function, by value.

    The function and its arguments travel as cloudpickle, so this needs a signing key. The worker needs the same
    Python, and the modules that the function uses by name. What the function returns is kept as JSON, as every
    result.

    Example:
        >>> app = TaskFlow("shop", signing_keys=[key])                         # doctest: +SKIP
        >>> app.submit(lambda: crunch(1))                                      # doctest: +SKIP
        AsyncResult(id='…', queue='default')
        >>> app.submit.options(retention=600, timeout=30)(crunch, 1).get()     # doctest: +SKIP
    """

    def __init__(self, tasks: Mapping[str, BaseTask[Any, Any]], options: TaskOptions | None = None) -> None:
        self._tasks = tasks
        self._options = options or TaskOptions()

    def options(self, **options: Unpack[Options]) -> Submit:
        """The same with options, for one or more calls.

        Args:
            **options: see `taskflow.Options`; `unique` is not possible here.
        """
        return Submit(self._tasks, merge(self._options, TaskOptions.of(options)))

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncResult[R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]: ...
    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AsyncResult[Any]:
        """Enqueue a call.

        Args:
            function: a function or a coroutine function.
            *args: its positional arguments.
            **kwargs: its arguments by name.

        Returns:
            A handle, as from `.delay()`.

        Raises:
            ConfigurationError: the app has no signing key.
            InvalidArguments: something in it cannot be pickled.
            PayloadTooLarge: it is over the app's limit.
            BrokerUnavailable: as for `.delay()`.
        """
        handle = _sender(self._tasks, function, self._options).delay(function, *args, **kwargs)
        return handle._typed(_Function(function))


class AsyncSubmit:
    """`await app.asubmit(function, *args, **kwargs)`: as `app.submit`, from a coroutine."""

    def __init__(self, tasks: Mapping[str, BaseTask[Any, Any]], options: TaskOptions | None = None) -> None:
        self._tasks = tasks
        self._options = options or TaskOptions()

    def options(self, **options: Unpack[Options]) -> AsyncSubmit:
        """The same with options, for one or more calls; see `Submit.options`."""
        return AsyncSubmit(self._tasks, merge(self._options, TaskOptions.of(options)))

    @overload
    async def __call__(
        self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncResult[R]: ...
    @overload
    async def __call__(
        self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncResult[R]: ...
    async def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AsyncResult[Any]:
        """Enqueue a call; see `Submit.__call__`."""
        handle = await _sender(self._tasks, function, self._options).adelay(function, *args, **kwargs)
        return handle._typed(_Function(function))


class _Function:
    """What a handle has to know of a function that was submitted, to convert its result."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.name = getattr(function, "__qualname__", type(function).__name__)
        self._returns = Returns(function.function if isinstance(function, BaseTask) else function)


def _sender(
    tasks: Mapping[str, BaseTask[Any, Any]], function: object, options: TaskOptions
) -> Sender[..., Any]:
    task = tasks.get(CALL_ASYNC if _is_async(function) else CALL)
    if not isinstance(task, ByValueTask):
        raise ConfigurationError(
            "app.submit() sends code, which a worker runs only if it is signed: give the app a key, "
            "TaskFlow(signing_keys=[...]) or TASKFLOW_SIGNING_KEYS (docs/security.md)"
        )
    return task.sender(options)


def _is_async(function: object) -> bool:
    if isinstance(function, BaseTask):
        return function.is_async
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object that is called like a coroutine function
    )

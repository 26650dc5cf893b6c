"""What a middleware is made of: which sides it has, and how it goes around functions and around coroutines.

All is found out where it is registered, so that nothing of it is refused in a worker.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..errors import ConfigurationError, TaskTimeout
from ..telemetry.telling import say_failed
from .around import AsyncWrap, Wrap
from .context import CurrentTask

Which = Literal["all", "functions", "coroutines"]
"""Which tasks a middleware is around."""

METHODS = ("enqueue", "aenqueue", "run", "arun")

ELSEWHERE = {
    "before_process_message": "run",
    "after_process_message": "run",
    "before_enqueue": "enqueue",
    "after_enqueue": "enqueue",
    "pre_execute": "run",
    "post_execute": "run",
    "pre_send": "enqueue",
    "post_send": "enqueue",
    "__call__": "run",
    "call": "run",
    "process": "run",
}
"""What the method is called in Dramatiq, taskiq, Sidekiq and others."""


@dataclass(frozen=True, slots=True)
class Middleware:
    """One middleware, taken apart.

    Args:
        name: for errors and logs.
        given: what was registered.
        enqueue: around a call that is enqueued.
        aenqueue: the same, in a coroutine.
        run: around a function.
        arun: around a coroutine function.
        around: which tasks it is around.
    """

    name: str
    given: Any
    enqueue: Callable[..., Any] | None
    aenqueue: Callable[..., Awaitable[Any]] | None
    run: Wrap | None
    arun: AsyncWrap | None
    around: Which

    def wrap(self, task: str, *, is_async: bool) -> Wrap | AsyncWrap | None:
        """How it goes around a task; None: not at all.

        Raises:
            ConfigurationError: it has to, and cannot.
        """
        if (self.run is None and self.arun is None) or self.around == (
            "functions" if is_async else "coroutines"
        ):
            return None
        found = self.arun if is_async else self.run
        if found is None:
            kind, has, lacks = ("a coroutine", "run", "arun") if is_async else ("a function", "arun", "run")
            only = "functions" if is_async else "coroutines"
            raise ConfigurationError(
                f"middleware {self.name} has `{has}` only, and task {task!r} is {kind}: give it `{lacks}`, too, write it as a "
                f"generator function that yields once, which is around both, or register it for {only} alone: "
                f'@app.middleware(around="{only}")'
            )
        return found


def middleware_of(given: Any, around: Which, *, observer: bool) -> Middleware:
    """Take apart what is registered.

    Args:
        given: a class, an object, a function, or a generator function.
        around: which tasks it is around.
        observer: whether what it raises changes nothing.

    Raises:
        ConfigurationError: it is none, or its methods cannot be called as they are to be.
    """
    if around not in get_args(Which):
        raise ConfigurationError(
            f'@app.middleware(around=...) is "all", "functions" or "coroutines", not {around!r}'
        )
    made = _made(given)
    name = str(getattr(given, "__qualname__", type(given).__qualname__))
    methods = {method: getattr(made, method, None) for method in METHODS}
    if not any(methods.values()):
        if not inspect.isroutine(made):
            raise ConfigurationError(_no_method(name, made))
        methods["arun" if inspect.iscoroutinefunction(made) else "run"] = made
    run, arun = _run_side(name, methods["run"], methods["arun"])
    if observer:
        run, arun = run and _observing(name, run), arun and _async_observing(name, arun)
    enqueue, aenqueue = methods["enqueue"], methods["aenqueue"]
    for method, found in (("enqueue", enqueue), ("aenqueue", aenqueue)):
        if found is not None:
            _check(f"{name}.{method}", found, 2, "(call, next)")
            if inspect.iscoroutinefunction(found) != (method == "aenqueue"):
                raise ConfigurationError(_twin(name, method))
    if enqueue is None and aenqueue is not None:
        raise ConfigurationError(
            f"middleware {name} has `aenqueue` only, and `.delay()` cannot wait for it: give it `enqueue`, too"
        )
    return Middleware(name, given, enqueue, aenqueue, run, arun, around)


def _made(given: Any) -> Any:
    if not isinstance(given, type):
        return given
    try:
        return given()
    except TypeError as error:
        raise ConfigurationError(
            f"middleware {given.__qualname__} cannot be made without arguments ({error}): register an object of it, "
            f"app.middleware({given.__name__}(...))"
        ) from error


def _run_side(name: str, run: Any, arun: Any) -> tuple[Wrap | None, AsyncWrap | None]:
    """How it goes around functions, and around coroutines."""
    wrap: Wrap | None = None
    awrap: AsyncWrap | None = None
    if run is not None:
        if inspect.iscoroutinefunction(run):
            raise ConfigurationError(_twin(name, "run"))
        if inspect.isasyncgenfunction(inspect.unwrap(run)):
            arun, run = arun or run, None
        elif inspect.isgeneratorfunction(inspect.unwrap(run)):
            _check(name, run, 1, "(task)")
            manage = contextmanager(run) if inspect.isgeneratorfunction(run) else run
            # Nothing is awaited in it, so it may be around a coroutine as it is.
            wrap, awrap = _managed(manage), _managed_around_coroutines(manage)
        else:
            _check(name, run, 2, "(task, next), or is a generator function of (task) that yields once")
            wrap = run
    if arun is not None:
        if inspect.isasyncgenfunction(inspect.unwrap(arun)):
            _check(name, arun, 1, "(task)")
            amanage = asynccontextmanager(arun) if inspect.isasyncgenfunction(arun) else arun
            awrap = _async_managed(amanage)
        elif inspect.iscoroutinefunction(arun):
            _check(
                name, arun, 2, "(task, next), or is an async generator function of (task) that yields once"
            )
            awrap = arun
        else:
            raise ConfigurationError(_twin(name, "arun"))
    return wrap, awrap


def _managed(manage: Callable[[CurrentTask], Any]) -> Wrap:
    def run(task: CurrentTask, next: Callable[[], Any]) -> Any:
        with manage(task):
            return next()

    return run


def _managed_around_coroutines(manage: Callable[[CurrentTask], Any]) -> AsyncWrap:
    async def arun(task: CurrentTask, next: Callable[[], Awaitable[Any]]) -> Any:
        with manage(task):
            return await next()

    return arun


def _async_managed(manage: Callable[[CurrentTask], Any]) -> AsyncWrap:
    async def arun(task: CurrentTask, next: Callable[[], Awaitable[Any]]) -> Any:
        async with manage(task):
            return await next()

    return arun


# --- those that only look on ----------------------------------------------------------------------------------------


class _Seen:
    """How what an observer is around has ended: what it raises itself is told apart by that."""

    def __init__(self) -> None:
        self.ended = False
        self.value: Any = None
        self.error: BaseException | None = None

    def hurts(self, name: str, error: BaseException) -> bool:
        """Whether this is the observer's own error, of which there is a line in the log, and nothing else."""
        if not isinstance(error, Exception) or isinstance(error, TaskTimeout):
            return False  # raised in it from outside
        if error is not self.error:
            say_failed(f"The middleware {name}", "a task", error)
        return True

    def end(self, value: Any) -> Any:
        """It has returned."""
        self.ended, self.value = True, value
        return value

    def fail(self, error: BaseException) -> None:
        """It has raised."""
        self.ended, self.error = True, error


def _observing(name: str, wrap: Wrap) -> Wrap:
    def run(task: CurrentTask, next: Callable[[], Any]) -> Any:
        seen = _Seen()

        def watched() -> Any:
            try:
                return seen.end(next())
            except BaseException as error:
                seen.fail(error)
                raise

        try:
            wrap(task, watched)
        except BaseException as error:
            if not seen.hurts(name, error):
                raise
        if not seen.ended:
            return next()
        if seen.error is not None:
            raise seen.error
        return seen.value

    return run


def _async_observing(name: str, wrap: AsyncWrap) -> AsyncWrap:
    async def arun(task: CurrentTask, next: Callable[[], Awaitable[Any]]) -> Any:
        seen = _Seen()

        async def watched() -> Any:
            try:
                return seen.end(await next())
            except BaseException as error:
                seen.fail(error)
                raise

        try:
            await wrap(task, watched)
        except BaseException as error:
            if not seen.hurts(name, error):
                raise
        if not seen.ended:
            return await next()
        if seen.error is not None:
            raise seen.error
        return seen.value

    return arun


# --- words ------------------------------------------------------------------------------------------------------------


def _check(name: str, method: Callable[..., Any], count: int, takes: str) -> None:
    try:
        inspect.signature(method).bind(*[None] * count)
    except TypeError:
        raise ConfigurationError(f"middleware {name} takes {takes}") from None
    except ValueError:
        pass  # it has no signature that could be read: of something written in C


def _twin(name: str, method: str) -> str:
    if method.startswith("a"):
        return f"`{method}` of middleware {name} is to be a coroutine function: async def {method}(self, ..., next)"
    return f"`{method}` of middleware {name} is a coroutine function: call it `a{method}`"


def _no_method(name: str, made: Any) -> str:
    text = f"middleware {name} has none of the methods enqueue, aenqueue, run and arun"
    near = [(theirs, ours) for theirs, ours in ELSEWHERE.items() if hasattr(made, theirs)]
    if near:
        theirs, ours = near[0]
        first = "task" if ours == "run" else "call"
        text += f"; in place of `{theirs}` write `def {ours}(self, {first}, next)`, which calls next()"
    return text

"""What `@app.task(...)` makes, and the name of what is declared."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from ..errors import InvalidSignature
from .context import CurrentTask
from .task import AsyncTask, Task

P = ParamSpec("P")
R = TypeVar("R")


class Decorator(Protocol):
    """`@app.task(...)`."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class BindDecorator(Protocol):
    """`@app.task(bind=True, ...)`."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[Concatenate[CurrentTask, P], Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[CurrentTask, P], R], /) -> Task[P, R]: ...


class BaseBindDecorator(Protocol):
    """`@app.task(bind=True, base=Mine, ...)`: the first argument is a `Mine`."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], R], /) -> Task[P, R]: ...


def name_of(function: Callable[..., Any]) -> str:
    """`module.function`; for a script that is run, its file's name stands for `__main__`, as the worker imports it.

    Raises:
        InvalidSignature: it has no name of its own, so that a second one would have the same.
    """
    qualified = getattr(function, "__qualname__", None)
    if qualified is None or qualified.endswith("<lambda>"):
        kind = "lambda" if qualified else f"{type(function).__module__}.{type(function).__qualname__}"
        raise InvalidSignature(
            f"a task needs a name, and a {kind} object has none of its own; give it one: app.task(name=...)"
        )
    module = getattr(function, "__module__", None) or "__main__"
    if module == "__main__":
        main = sys.modules.get("__main__")
        spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
        module = spec.name.removesuffix(".__main__") if spec else Path(file).stem if file else module
    return f"{module}.{qualified.replace('<locals>.', '')}"


def is_same(known: Callable[..., Any], function: Callable[..., Any]) -> bool:
    """Whether a function is one that is known, declared again by a module that was reloaded."""
    if not (_has_name(known) and _has_name(function)):
        # Of these a reloaded module makes others of the same code; two of one class or function are two tasks.
        first, second = _behind(known), _behind(function)
        return known is function or (first is not second and described(known) == described(function))
    return described(known) == described(function)


def described(function: Callable[..., Any]) -> str:
    """Where a function's code is, for errors."""
    found: Any = function if _has_name(function) else _behind(function)
    return f"{getattr(found, '__module__', '?')}.{getattr(found, '__qualname__', '?')}"


def _has_name(function: Callable[..., Any]) -> bool:
    return hasattr(function, "__qualname__")


def _behind(function: Callable[..., Any]) -> object:
    """The function of a partial, the class of an object that can be called."""
    while isinstance(function, partial):
        function = function.func
    return function if _has_name(function) else type(function)

"""What a function gives back when it is called: a value, something to be awaited, or something of which nothing has run yet.

Only a value is a success. A coroutine function behind a plain decorator returns a coroutine, a generator function a generator:
not one line of them has run.
"""

from __future__ import annotations

import inspect
import itertools
import types
from collections.abc import Callable
from typing import Any

from ..errors import InvalidSignature, LazyResult
from .result import AsyncResult

PLAIN: frozenset[type] = frozenset(
    {types.NoneType, bool, int, float, str, bytes, list, tuple, dict, set, frozenset}
)
"""Types of values that need no second look: those of nearly all."""

_LAZY: tuple[type, ...] = (
    types.GeneratorType,
    types.AsyncGeneratorType,
    map,
    filter,
    zip,
    itertools.accumulate,
    itertools.chain,
    itertools.dropwhile,
    itertools.filterfalse,
    itertools.groupby,
    itertools.islice,
    itertools.starmap,
    itertools.takewhile,
    itertools.zip_longest,
)


def is_awaitable(value: object) -> bool:
    """Whether what a task has returned is to be awaited. The handle of another task is not: that one runs by itself."""
    return type(value) not in PLAIN and inspect.isawaitable(value) and not isinstance(value, AsyncResult)


def refuse_lazy(value: object) -> None:
    """Look at what a task has returned.

    Raises:
        LazyResult: it is a generator or the like.
    """
    if type(value) not in PLAIN and isinstance(value, _LAZY):
        raise LazyResult(
            f"the task returned a {type(value).__name__}, and what it stands for has not run: nobody goes through it; "
            "do so in the task, and return a list, say"
        )


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine; also an object with such a `__call__`."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(_call_of(function))


def may_return_coroutine(function: Callable[..., Any]) -> bool:
    """Whether it is a plain function around a coroutine function, as decorators make them with `functools.wraps`. It may run that
    itself; else what it returns is awaited.
    """
    return inspect.iscoroutinefunction(inspect.unwrap(function))


def refuse_generators(function: Callable[..., Any]) -> None:
    """Look at a function that is to be a task.

    Raises:
        InvalidSignature: it is a generator function: a call of it runs nothing.
    """
    for one in (function, _call_of(function)):
        if inspect.isgeneratorfunction(one) or inspect.isasyncgenfunction(one):
            name = getattr(function, "__qualname__", type(function).__qualname__)
            raise InvalidSignature(
                f"{name} is a generator function, so a call of it runs nothing and a worker has nobody to give its items to; "
                "make it a function that returns a list, or one that enqueues a task for each item"
            )


def _call_of(function: Callable[..., Any]) -> Any:
    return None if inspect.isroutine(function) else vars(type(function)).get("__call__")

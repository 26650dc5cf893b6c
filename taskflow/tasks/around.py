"""What is around the call of a task's function: middleware, the first registered outermost, and what is injected innermost.

Built when a task or a middleware is registered. A task without either has no `Around`, and its call pays one look for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from .backend import Injects
from .context import CurrentTask
from .returned import is_awaitable

Current = Callable[[], CurrentTask]
"""Makes the running task, for those that ask."""

Function = Callable[[dict[str, Any]], Any]
"""Calls the task's function with these arguments."""

Wrap = Callable[[CurrentTask, Callable[[], Any]], Any]
"""Is given the running task and what calls the next one, further in."""

AsyncWrap = Callable[[CurrentTask, Callable[[], Awaitable[Any]]], Awaitable[Any]]

RETURNED = "raised by a middleware, after the function of the task had returned"


class Around:
    """All that is around one task.

    Args:
        wraps: of a function; those of a coroutine function are asynchronous.
        injects: innermost, if anything is injected.
    """

    __slots__ = ("_injects", "_wraps")

    def __init__(self, wraps: Sequence[Any], injects: Injects | None = None) -> None:
        self._wraps = tuple(reversed(wraps))
        self._injects = injects

    def run(self, current: Current, kwargs: dict[str, Any], call: Function) -> Any:
        """Call a function. `call` has awaited what it returned, if that is to be awaited."""
        call = call if self._injects is None else partial(self._injects.run, call=call)
        if not self._wraps:
            return call(kwargs)
        returned = False

        def innermost() -> Any:
            nonlocal returned
            value = call(kwargs)
            returned = True
            return value

        step: Callable[[], Any] = innermost
        task = current()
        for wrap in self._wraps:
            step = partial(wrap, task, step)
        try:
            return step()
        except BaseException as error:
            if returned:
                error.add_note(RETURNED)
            raise

    async def arun(self, current: Current, kwargs: dict[str, Any], call: Function) -> Any:
        """As `run`, of a coroutine function."""
        injects, returned = self._injects, False

        async def innermost() -> Any:
            nonlocal returned
            value = call(kwargs) if injects is None else injects.arun(kwargs, call)
            while is_awaitable(value):
                value = await value
            returned = True
            return value

        step: Callable[[], Any] = innermost
        if self._wraps:
            task = current()
            for wrap in self._wraps:
                step = partial(wrap, task, step)
        try:
            return await step()
        except BaseException as error:
            if returned:
                error.add_note(RETURNED)
            raise

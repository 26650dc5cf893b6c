"""What takes a trip to the app's store, for coroutines: in a thread, so that others run meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Tried:
    """What a function returned, or what it raised.

    Args:
        value: what it returned.
        error: what it raised instead.
    """

    __slots__ = ("_error", "_value")

    def __init__(self, value: Any, error: BaseException | None = None) -> None:
        self._value = value
        self._error = error

    def get(self) -> Any:
        """What it returned; or what it raised is raised here."""
        if self._error is not None:
            raise self._error
        return self._value


def tried(function: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> Tried:
    """Call a function, and keep what it raises."""
    try:
        return Tried(function(*args, **kwargs))
    except BaseException as error:  # noqa: BLE001 - raised again by whoever looks
        return Tried(None, error)


async def to_its_end(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a thread, and wait for it whatever is asked meanwhile: the task has returned, and is due its verdict."""
    # Only here: a child of plain functions has no asyncio.
    import asyncio

    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            continue
    return work.result()

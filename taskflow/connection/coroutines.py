"""What is to be done alike in threads and in coroutines is written once, and run here.

As a coroutine that never waits for an event loop: in a thread, whatever it awaits is done when it is awaited. Or as steps: a
generator that yields what is to be asked, and is sent the answer.
"""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")


def complete(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run such a coroutine to its end.

    Example:
        >>> async def answer() -> int:
        ...     return 42
        >>> complete(answer())
        42
    """
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    coroutine.close()
    raise AssertionError("what is awaited in a thread is done at once")


@types.coroutine
def let_others_go_on() -> Generator[None, None, None]:
    """Awaited in a coroutine that `advance` runs: others go on first."""
    yield


def advance(coroutine: Coroutine[Any, Any, T]) -> T | None:
    """Run a coroutine to its end, or until it lets others go on; then None."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    return None


def carry_out(steps: Generator[S, Any, T], ask: Callable[[S], Any]) -> T:
    """Run steps to their end, in a thread.

    Args:
        steps: yield what is to be asked; what `ask` raises is raised here.
        ask: gives the answer.
    """
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        answer = ask(step)


async def acarry_out(steps: Generator[S, Any, T], ask: Callable[[S], Awaitable[Any]]) -> T:
    """As `carry_out`, from a coroutine."""
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        answer = await ask(step)


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that would keep the event loop waiting. Who is cancelled meanwhile does not wait for it."""
    # Only here: who has no event loop needs no asyncio for it.
    import asyncio

    return await asyncio.to_thread(function, *args, **kwargs)


class Ended:
    """Steps have come to their end, with this value: `StopIteration` cannot come out of a thread into a coroutine."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def after(steps: Generator[S, Any, Any], answer: Any) -> S | Ended:
    """The step that follows the answer, for `in_thread`."""
    try:
        return steps.send(answer)
    except StopIteration as end:
        return Ended(end.value)

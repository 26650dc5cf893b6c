"""Running coroutines that never wait for an event loop, in a thread, as if they were functions.

What is to be done alike in threads and in coroutines is written once, as a coroutine. In a thread, whatever it awaits is done
when it is awaited.
"""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


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

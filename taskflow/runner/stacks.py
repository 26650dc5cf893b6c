"""The stacks of a child: of its threads and of its coroutines, as one text. Files, lines and functions; no values, no code."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import CodeType
from typing import TYPE_CHECKING, Any

from ..tasks.thread_frames import thread_frames

if TYPE_CHECKING:
    import asyncio

MOST_BYTES = 100_000
"""Of one text: a child may have thousands of coroutines."""


def stacks(loop: asyncio.AbstractEventLoop | None) -> str:
    """All stacks, outermost call first.

    Args:
        loop: of the coroutines, where there is one.
    """
    text = "\n".join([*_threads(), *_coroutines(loop)])
    return text if len(text) <= MOST_BYTES else text[:MOST_BYTES] + "\n(cut off here)"


def _threads() -> Iterator[str]:
    frames = thread_frames()
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        places = []
        while frame is not None:
            places.append(_place(frame.f_code, frame.f_lineno))
            frame = frame.f_back
        yield f"Thread {thread.name}"
        yield from reversed(places)


def _coroutines(loop: asyncio.AbstractEventLoop | None) -> Iterator[str]:
    if loop is None:
        return
    import asyncio  # here, for the start-up: it is loaded if there is a loop

    for task in asyncio.all_tasks(loop):
        yield f"Coroutine {task.get_name()}"
        awaited: Any = task.get_coro()
        while awaited is not None:
            frame = _first(awaited, "cr_frame", "gi_frame", "ag_frame")
            if frame is not None:
                yield _place(frame.f_code, frame.f_lineno)
            awaited = _first(awaited, "cr_await", "gi_yieldfrom", "ag_await")


def _first(value: object, *names: str) -> Any:
    """The first of these attributes that is there."""
    return next((found for name in names if (found := getattr(value, name, None)) is not None), None)


def _place(code: CodeType, line: int) -> str:
    return f'  File "{code.co_filename}", line {line}, in {code.co_qualname}'

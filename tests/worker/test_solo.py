"""`-P solo`: how the main thread is brought back when its worker has ended."""

from __future__ import annotations

import asyncio
import functools
import signal
import sys
import threading
import weakref
from types import FrameType
from typing import Any

import pytest

from taskflow.worker.solo import WAKE, _Ended, _Solo


def frame_in(file: str) -> FrameType:
    """Of a function that stands in this file."""
    space: dict[str, Any] = {"sys": sys}
    exec(compile("frame = sys._getframe()", file, "exec"), space)
    found: FrameType = space["frame"]
    return found


@pytest.mark.parametrize("file", [weakref.__file__, "<frozen importlib._bootstrap>", threading.__file__])
def test_it_is_not_brought_back_from_where_an_exception_does_harm(file: str) -> None:
    """Python prints what is raised in the callback of a weak reference, as "Exception ignored in", and goes on: a worker that
    could not log in sometimes said so with a traceback. Raised in a wait of `threading`, it left a lock not taken back: the
    command ended with "release unlocked lock", and the next signal decided its exit code. The signal comes again.
    """
    config: Any = None
    solo = _Solo(config, lambda worker: {})
    solo._failed.append(OSError())
    solo._ended.set()
    solo._on_signal(WAKE, frame_in(file))
    with pytest.raises(_Ended):
        solo._on_signal(WAKE, sys._getframe())


def test_a_signal_that_comes_when_the_loop_is_closed_and_its_end_not_yet_seen_does_nothing() -> None:
    """It ended the command with "unexpected RuntimeError", and the next one with that signal's own code."""
    config: Any = None
    solo = _Solo(config, lambda worker: {})
    loop = asyncio.new_event_loop()
    loop.close()
    solo._acts[signal.SIGTERM] = functools.partial(loop.call_soon_threadsafe, print)

    solo._on_signal(signal.SIGTERM, sys._getframe())

    assert not solo._leaving

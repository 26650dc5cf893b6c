"""`-P solo`: how the main thread is brought back when its worker has ended."""

from __future__ import annotations

import sys
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


@pytest.mark.parametrize("file", [weakref.__file__, "<frozen importlib._bootstrap>"])
def test_it_is_not_brought_back_from_the_callback_of_a_weak_reference(file: str) -> None:
    """Python prints what is raised there, as "Exception ignored in", and goes on: a worker that could not log in sometimes
    said so with a traceback. The signal comes again.
    """
    config: Any = None
    solo = _Solo(config, lambda worker: {})
    solo._failed.append(OSError())
    solo._ended.set()
    solo._on_signal(WAKE, frame_in(file))
    with pytest.raises(_Ended):
        solo._on_signal(WAKE, sys._getframe())

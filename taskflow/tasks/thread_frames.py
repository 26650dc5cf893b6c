"""Where the threads of this process are."""

from __future__ import annotations

import gc
import os
import sys
import threading
from types import FrameType

_COLLECTS_ANYWHERE = sys.version_info < (3, 12)

_lock = threading.Lock()
_is_off = False
"""Whether the collector is off for our sake."""


def thread_frames() -> dict[int, FrameType]:
    """The innermost frame of each thread, by the thread's identifier.

    Python makes these frames one by one, and before 3.12 the garbage collector may run while it does. A finalizer that lets
    another thread go on then leaves a frame of a function that has returned, which ends the process as soon as it is looked at,
    or two threads that wait for each other's lock of the interpreter, which stops it. So nothing is collected meanwhile.
    Source: https://github.com/python/cpython/issues/106883
    """
    if not _COLLECTS_ANYWHERE:
        return sys._current_frames()
    global _is_off
    with _lock:
        _is_off = collects = gc.isenabled()
        gc.disable()
        try:
            return sys._current_frames()
        finally:
            if collects:
                gc.enable()
            _is_off = False


def _after_fork() -> None:
    """A task may fork while another thread is in here: nobody else would switch the collector on again, or release the lock."""
    global _lock, _is_off
    _lock = threading.Lock()
    if _is_off:
        gc.enable()
    _is_off = False


os.register_at_fork(after_in_child=_after_fork)

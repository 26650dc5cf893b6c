"""Where the threads of this process are."""

from __future__ import annotations

import gc
import sys
import threading
from types import FrameType

_COLLECTS_ANYWHERE = sys.version_info < (3, 12)

_lock = threading.Lock()


def thread_frames() -> dict[int, FrameType]:
    """The innermost frame of each thread, by the thread's identifier.

    Python makes these frames one by one, and before 3.12 the garbage collector may run while it does. A finalizer that lets
    another thread go on then leaves a frame of a function that has returned, which ends the process as soon as it is looked at,
    or two threads that wait for each other's lock of the interpreter, which stops it. So nothing is collected meanwhile.
    Source: https://github.com/python/cpython/issues/106883
    """
    if not _COLLECTS_ANYWHERE:
        return sys._current_frames()
    with _lock:
        collects = gc.isenabled()
        gc.disable()
        try:
            return sys._current_frames()
        finally:
            if collects:
                gc.enable()

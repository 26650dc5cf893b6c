"""Where a thread must not be hit by an exception from outside: inside the machinery of locks and logs.

Such an exception comes between any two bytecodes, also between a lock's `acquire()` and the `try` whose `finally` would
release it. In a library that does so, and the standard library's `logging` does on Python 3.11, the lock is held for ever, and
every task that logs waits for it. It is enough to look at where the thread is: it is in user code again soon.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import queue
import threading
import weakref
from os.path import dirname
from types import FrameType

from . import task_reports
from .thread_frames import thread_frames

_DEPTH = 40
"""Frames that are looked at."""

_LOCKS = frozenset(
    str(module.__file__) for module in (threading, queue, contextlib, functools, weakref, task_reports)
)
"""Files whose functions take locks, or are between a context manager and its `with`."""

_FOLDERS = (
    f"{dirname(logging.__file__)}/",
    f"{dirname(threading.__file__)}/concurrent/futures/",
    "<frozen importlib",
)

_BLOCKING = frozenset({"wait", "wait_for", "join", "_wait_for_tstate_lock"})
"""Functions of `threading` that wait in a C call: an exception comes when that returns, where they expect one."""


def is_delicate(thread: int) -> bool:
    """Whether a thread is where an exception from outside would do harm.

    Args:
        thread: its identifier.
    """
    frame = thread_frames().get(thread)
    return frame is not None and is_delicate_frame(frame)


def is_delicate_frame(frame: FrameType) -> bool:
    """Whether a thread whose innermost frame this is, is where an exception from outside would do harm."""
    code = frame.f_code
    file = code.co_filename
    if file.startswith(_FOLDERS):
        return True
    if file in _LOCKS and not (file == threading.__file__ and code.co_name in _BLOCKING):
        return True
    return _is_lost_in(frame)


def _is_lost_in(frame: FrameType) -> bool:
    """Whether a log handler, or a finalizer, is further up: what is raised in one is printed and goes no further."""
    above: FrameType | None = frame
    for _ in range(_DEPTH):
        if above is None:
            return False
        code = above.f_code
        if code.co_filename == logging.__file__ or "loguru" in code.co_filename or code.co_name == "__del__":
            return True
        above = above.f_back
    return False

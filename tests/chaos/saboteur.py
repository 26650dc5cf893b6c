"""Hurts a child from inside, on a nemesis' orders: as code that a task left behind would, or a library, or the user's logging.

An order is a file `order-<pid>` in the directory of the ledgers. It is removed when it is carried out.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from asyncio import AbstractEventLoop
from pathlib import Path

from taskflow.worker import timings

BLOCKED = 2.4
"""So many times the patience with a child the loop is blocked: until it is replaced, so that what ran in it ends afterwards."""

BLOCKED_WHILE = "blocked"
"""While this file is there, a loop that is blocked stays so."""

LONGEST_BLOCK = 60.0
"""Seconds."""

DEADLY = "deadly"
"""While this file is there, children kill themselves, also those that are being started."""

_raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc

loops: list[AbstractEventLoop] = []
"""The event loop of this child, once it has run a coroutine."""


def start() -> None:
    """Wait for orders, in a child."""
    if os.environ.get("TASKFLOW_WORKER"):
        _die_if_told(Path(os.environ["TASKFLOW_CHAOS_LEDGER"]))
        threading.Thread(target=_obey, daemon=True, name="saboteur").start()


def _obey() -> None:
    directory = Path(os.environ["TASKFLOW_CHAOS_LEDGER"])
    order = directory / f"order-{os.getpid()}"
    while True:
        _die_if_told(directory)
        if order.exists():
            what = order.read_text()
            order.unlink()
            {"heir": _die_with_an_heir, "loop": _block, "threads": _end_threads, "log": _break_the_log}[
                what
            ]()
        time.sleep(0.1)


def _die_if_told(directory: Path) -> None:
    if (directory / DEADLY).exists():
        os.kill(os.getpid(), signal.SIGKILL)


def _die_with_an_heir() -> None:
    """A forked process holds a copy of all that was open, in a group of its own as a daemon's."""
    connections = [number for number in map(int, os.listdir("/proc/self/fd")) if _is_socket(number)]
    copies = [os.dup(number) for number in connections]
    if os.fork() == 0:
        os.setsid()
        time.sleep(20)
        os._exit(len(copies))
    os.kill(os.getpid(), signal.SIGKILL)


def _is_socket(number: int) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
    except OSError:
        return False


def _block() -> None:
    while not loops:  # a child that has just been started has run no coroutine yet
        time.sleep(0.1)
    for loop in loops:
        loop.call_soon_threadsafe(_hold)


def _hold() -> None:
    time.sleep(BLOCKED * timings.TIMINGS.stuck)
    told = Path(os.environ["TASKFLOW_CHAOS_LEDGER"]) / BLOCKED_WHILE
    ends = time.monotonic() + LONGEST_BLOCK
    while told.exists() and time.monotonic() < ends:
        time.sleep(0.05)


def _end_threads() -> None:
    """Those that wait for a task: as an exception would that nobody expected there."""
    _raise_in.argtypes = (ctypes.c_ulong, ctypes.c_void_p)
    frames = sys._current_frames()
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        if thread.name.removeprefix("taskflow-").isdigit() and frame and frame.f_code.co_name == "_work":
            _raise_in(thread.ident, id(SystemExit))


def _break_the_log() -> None:
    def broken(record: logging.LogRecord) -> bool:
        raise RuntimeError("a filter of the user's that raises")

    for handler in logging.getLogger().handlers:
        handler.addFilter(broken)

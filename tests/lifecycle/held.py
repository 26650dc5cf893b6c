"""Tasks that go on until their test lets them end: what is to happen meanwhile has all the time that it needs."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time

HELD = -1.0
"""Instead of seconds: until `Ledger.release` names the task's tag."""

_LOOK = 0.01
"""Seconds between two looks whether it has."""


def _mark(tag: str) -> str:
    return f"{os.environ['TASKFLOW_TEST_LEDGER']}.{tag}"


def is_over(tag: str, began: float, seconds: float) -> bool:
    """Whether so many seconds are over since `began` (monotonic); or it was released."""
    if seconds == HELD:
        return os.path.exists(_mark(tag))
    return time.monotonic() - began >= seconds


def pause(tag: str, seconds: float) -> None:
    """Sleep."""
    if seconds != HELD:
        time.sleep(seconds)
    while seconds == HELD and not os.path.exists(_mark(tag)):
        time.sleep(_LOOK)


async def apause(tag: str, seconds: float) -> None:
    """Sleep, in a coroutine."""
    if seconds != HELD:
        await asyncio.sleep(seconds)
    while seconds == HELD and not os.path.exists(_mark(tag)):
        await asyncio.sleep(_LOOK)


def hold_interpreter(tag: str, seconds: float) -> None:
    """A C call that does not let go of the interpreter. `prepare` comes first."""
    if seconds == HELD:
        ctypes.PyDLL(None).open(_mark(tag).encode(), os.O_RDONLY)  # until somebody opens it to write
    else:
        ctypes.PyDLL(None).usleep(int(seconds * 1e6))


def prepare(tag: str, seconds: float) -> None:
    """Before it is noted that the task has started: whoever reads that may release it at once."""
    if seconds == HELD:
        os.mkfifo(_mark(tag))

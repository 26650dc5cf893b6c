"""The app under test: its handlers write their starts and ends to the ledger."""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import os
import time
from functools import cache
from pathlib import Path
from typing import Any

from taskflow import TaskFlow, current_task

from . import saboteur, tuning
from .ledger import Ledger

tuning.apply()
saboteur.start()

RETENTION = 120
"""Over the longest enqueue timeout, so that no re-sent enqueue can run a task twice."""

app = TaskFlow("chaos", retention=RETENTION, **tuning.app_options())

_attempts = itertools.count(1)


@cache
def _ledger(pid: int) -> Ledger:
    return Ledger(Path(os.environ["TASKFLOW_CHAOS_LEDGER"]) / f"handler-{pid}.ledger")


class _Attempt:
    """Writes the start of an attempt, then its end or that it raised."""

    def __init__(self, tag: str) -> None:
        pid = os.getpid()
        self._ledger = _ledger(pid)
        self._tag = tag
        self._who = f"{pid}.{next(_attempts)}"

    def __enter__(self) -> None:
        self._ledger.write("start", self._tag, self._who, current_task().id)

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._ledger.write(
            *(("end", self._tag, self._who) if kind is None else ("raise", self._tag, self._who))
        )


@app.task(name="chaos:work")
def work(tag: str, seconds: float = 0.0, padding: str = "") -> None:
    with _Attempt(tag):
        time.sleep(seconds)


@app.task(name="chaos:async-work")
async def async_work(tag: str, seconds: float = 0.0) -> None:
    if not saboteur.loops:
        saboteur.loops.append(asyncio.get_running_loop())
    with _Attempt(tag):
        await asyncio.sleep(seconds)


@app.task(name="chaos:fail-once", default_retry_delay=1)
def fail_once(tag: str) -> None:
    with _Attempt(tag):
        if current_task().retried == 0:
            raise ValueError("the first attempt fails")


@app.task(name="chaos:hold-gil")
def hold_gil(tag: str, seconds: float) -> None:
    """A C call that does not let go of the interpreter: no thread of this process runs meanwhile.

    Another attempt at the same task does not, so that a run comes to its end whatever the first led to.
    """
    with _Attempt(tag):
        try:
            (Path(os.environ["TASKFLOW_CHAOS_LEDGER"]) / f"held-{tag}").touch(exist_ok=False)
        except FileExistsError:
            return
        library: Any = ctypes.PyDLL(None)
        library.usleep(int(seconds * 1e6))

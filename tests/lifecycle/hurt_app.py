"""Tasks that hurt the child they run in, each in its own way; their starts and ends are in the ledger of `app.note`."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path

from taskflow import TaskFlow

from .app import note
from .held import apause, hold_interpreter, pause, prepare

app = TaskFlow("hurt", retention=600)

_DIES = os.environ.get("TASKFLOW_TEST_CHILDREN_DIE")
"""A file: while it is there, children die just after they have said what they are."""


def _die_at_once() -> None:
    """Once it sends what tasks say: before that it has said what it is."""
    while not any(thread.name == "taskflow-outgoing" for thread in threading.enumerate()):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


if _DIES and Path(_DIES).exists():
    threading.Thread(target=_die_at_once, daemon=True).start()


@app.task(max_retries=0)
def work(tag: str, seconds: float = 0.0) -> str:
    note("start", tag)
    pause(tag, seconds)
    note("end", tag)
    return tag


@app.task(max_retries=0)
async def async_work(tag: str, seconds: float = 0.0) -> str:
    note("start", tag)
    await apause(tag, seconds)
    note("end", tag)
    return tag


@app.task(max_retries=0)
def killed_with_heirs(tag: str) -> None:
    """A process that it has forked lives on, with a copy of everything that was open."""
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    note("start", tag)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(max_retries=0)
def killer(tag: str, seconds: float = 0.0) -> None:
    note("start", tag)
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(max_retries=0)
def close_everything(tag: str) -> None:
    """As a library does that makes a daemon of its process, and then a C call that holds the interpreter."""
    note("start", tag)
    sleep = ctypes.PyDLL(None).sleep
    os.closerange(3, 256)
    sleep(60)


@app.task(max_retries=0)
async def end_the_loop() -> None:
    """Leaves something behind that ends the event loop of its child."""

    def end() -> None:
        note("gone", "loop")
        sys.exit()

    asyncio.get_running_loop().call_later(0.1, end)


@app.task(max_retries=0)
async def block_the_loop() -> None:
    """Leaves something behind that blocks the event loop of its child."""

    def block() -> None:
        note("gone", "loop")
        time.sleep(60)

    asyncio.get_running_loop().call_later(0.1, block)


@app.task(max_retries=0)
def end_the_threads() -> None:
    """Ends every thread of its child that waits for tasks, as an exception that nobody expects would."""
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    raise_in.argtypes = (ctypes.c_ulong, ctypes.c_void_p)

    def end() -> None:
        time.sleep(0.2)
        for thread in threading.enumerate():
            if thread.name.removeprefix("taskflow-").isdigit():
                raise_in(thread.ident, id(SystemExit))
        note("gone", "threads")

    threading.Thread(target=end, daemon=True).start()


@app.task(max_retries=0)
def hold_gil(tag: str, seconds: float) -> str:
    """A C call that does not let go of the interpreter."""
    prepare(tag, seconds)
    note("start", tag)
    hold_interpreter(tag, seconds)
    note("end", tag)
    return tag

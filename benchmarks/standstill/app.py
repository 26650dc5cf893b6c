"""Tasks that get on, and tasks after which something does not. Run by the worker that is measured."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from taskflow import TaskFlow

app = TaskFlow("standstill", queue="standstill", retention=600)
MARKS = Path(os.environ["STANDSTILL_MARKS"])
DEADLY = threading.Event()


class Deadly(logging.Filter):
    """A filter as a user might write one: it raises, once a task has asked it to."""

    def filter(self, record: logging.LogRecord) -> bool:
        """As of a filter."""
        if DEADLY.is_set():
            raise RuntimeError("a filter that raises")
        return True


for _handler in logging.getLogger().handlers or [logging.StreamHandler()]:
    _handler.addFilter(Deadly())
logging.getLogger("taskflow.task").addFilter(Deadly())


def mark(what: str, name: str) -> None:
    """One line, whole: many processes write."""
    line = f"{time.time()} {what} {name} {os.getpid()}\n"
    with MARKS.open("a") as file:
        file.write(line)


@app.task
def steady(name: str, seconds: float) -> str:
    """Marks its start and its end, and sleeps in between."""
    mark("start", name)
    time.sleep(seconds)
    mark("end", name)
    return name


@app.task
async def asteady(name: str) -> str:
    """The same as a coroutine, without the sleep."""
    mark("start", name)
    return name


@app.task
def poison(seconds: float) -> None:
    """Kills the process it runs in."""
    mark("start", "poison")
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
def fork_and_die() -> None:
    """Leaves a process behind that holds copies of all that its parent had open."""
    if os.fork() == 0:
        time.sleep(40)
        os._exit(0)
    mark("wrong", "fork")
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
def raise_in_the_log() -> None:
    """From now on every line of the log raises."""
    mark("wrong", "log")
    DEADLY.set()


@app.task
async def end_the_loop() -> None:
    """Leaves a coroutine behind that calls `sys.exit`."""

    async def leave() -> None:
        mark("wrong", "exit")
        sys.exit(1)

    asyncio.get_running_loop().create_task(leave())


@app.task
async def block_the_loop() -> None:
    """Leaves a callback behind that blocks the loop for longer than anybody waits."""

    def block() -> None:
        mark("wrong", "block")
        time.sleep(3600)

    asyncio.get_running_loop().call_later(0.2, block)


@app.task
def stop_the_child() -> None:
    """The process is there, and does nothing any more: its reader, its threads, its loop."""
    mark("wrong", "stop")
    os.kill(os.getpid(), signal.SIGSTOP)

"""Tasks that say in which pool they want to run."""

from __future__ import annotations

import asyncio
import os
import threading

from taskflow import TaskFlow

from .app import note
from .held import pause

app = TaskFlow("pools", retention=600, max_retries=0)


def where() -> list[object]:
    """The process, and whether this is its main thread."""
    return [os.getpid(), threading.current_thread() is threading.main_thread()]


@app.task
def plain(tag: str, seconds: float = 0.0) -> list[object]:
    note("start", tag)
    pause(tag, seconds)
    note("end", tag)
    return where()


@app.task(pool="processes", timeout=1, hard_timeout=30)
def process(tag: str, seconds: float = 0.0) -> list[object]:
    note("start", tag)
    pause(tag, seconds)
    note("end", tag)
    return where()


@app.task(pool="thread")
def thread(tag: str, seconds: float = 0.0) -> list[object]:
    note("start", tag)
    pause(tag, seconds)
    note("end", tag)
    return where()


@app.task(pool="processes", queue=os.environ.get("TASKFLOW_TEST_PROCESS_QUEUE", "processes"))
def only(tag: str, seconds: float = 0.0) -> str:
    """In a queue where all tasks run in processes."""
    pause(tag, seconds)
    return tag


@app.task(pool="async")
async def coroutine(tag: str) -> list[object]:
    note("start", tag)
    await asyncio.sleep(0)
    return where()


@app.task(pool="processes")
def dies(tag: str) -> None:
    note("start", tag)
    os._exit(3)

"""Tasks that say something of themselves."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time

from taskflow import TaskFlow, current_task

from .held import HELD, pause

app = TaskFlow("talking", retention=600, max_retries=0)
logger = logging.getLogger("shop")


@app.task
def talk(times: int, seconds: float = 0.0, tag: str = "", held: str = "") -> str:
    """Says how far it is so many times, evenly over so many seconds, and each time a line; the last when it is released by the
    name `held`.
    """
    task = current_task()
    began = time.monotonic()
    for number in range(1, times + 1):
        if held and number == times:
            pause(held, HELD)
        task.progress(number, times, f"{tag}{number}")
        task.log(f"{tag}line {number}")
        if (ahead := number * seconds / times - (time.monotonic() - began)) > 0.001:
            time.sleep(ahead)
    return tag


@app.task
async def atalk(times: int, seconds: float = 0.0) -> int:
    for number in range(1, times + 1):
        current_task().progress(number, times)
        current_task().log(f"line {number}")
        await asyncio.sleep(seconds / times)
    return times


@app.task
def helpers() -> None:
    """Says it from threads of its own: one has the context, the other the task itself."""
    task = current_task()

    def with_context() -> None:
        current_task().log("with the context")

    def with_task() -> None:
        task.progress(1, 2)
        task.log("with the task")

    for target in (contextvars.copy_context().run, lambda function: function()):
        function = with_context if target is not None and target.__name__ == "run" else with_task
        thread = threading.Thread(target=target, args=(function,))
        thread.start()
        thread.join()


@app.task
def leaves_a_thread() -> None:
    """Goes on saying something when it has ended."""
    task = current_task()

    def go_on() -> None:
        for number in range(50):
            task.progress(number, 50, "late")
            time.sleep(0.05)

    threading.Thread(target=go_on, daemon=True).start()


@app.task(log_lines="INFO")
async def alogs(tag: str) -> None:
    for number in range(20):
        logger.info("%s says %d", tag, number)
        await asyncio.sleep(0)


@app.task(log_lines="INFO")
def logs(tag: str) -> None:
    for number in range(20):
        logger.info("%s says %d", tag, number)
        logger.debug("%s: too quiet", tag)
        time.sleep(0.001)
    try:
        raise ValueError("why")
    except ValueError:
        logger.exception("%s failed", tag)


@app.task
def logs_nothing(tag: str) -> None:
    logger.error("%s says nothing", tag)


@app.task(max_retries=1, default_retry_delay=0.1)
def stumbles() -> None:
    """Fails once."""
    task = current_task()
    task.log("before")
    task.progress(5 if task.retried else 90, 100)
    if not task.retried:
        raise ValueError("once")


@app.task(max_retries=0)
def waits_for_cancel() -> bool:
    """A thread of its own looks whether it is to end, which no exception reaches."""
    task = current_task()
    seen = threading.Event()

    def look() -> None:
        while not task.cancelled:
            time.sleep(0.01)
        task.log("seen in a thread")
        seen.set()

    threading.Thread(target=look, daemon=True).start()
    task.log("running")
    try:
        while True:
            time.sleep(0.01)
    finally:
        seen.wait(5)

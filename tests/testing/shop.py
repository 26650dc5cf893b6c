"""An app as users have one, and what its tasks do; its broker is a server that no test may reach."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import date
from typing import Any

from taskflow import Retry, Snooze, TaskFlow, current_task
from taskflow.message.task_message import TaskMessage

app = TaskFlow("shop", broker="redis://127.0.0.1:1", retention=3600, max_retries=2)
mails: list[str] = []


def send(name: str) -> None:
    """What tests replace. In a worker of its own it can be told not to end."""
    if os.environ.get("SHOP_WAITS"):
        time.sleep(60)
    mails.append(name)


def length(text: str) -> int:
    return len(text)


@app.task
def welcome(name: str, lang: str = "en", on: date | None = None) -> str:
    send(name)
    return name.upper()


@app.task(queue="reports")
async def report(number: int) -> int:
    await asyncio.sleep(0)
    return number + 1


@app.task
def charge(amount: int) -> None:
    raise ValueError(f"no money: {amount}")


@app.task(max_retries=5)
def flaky(fails: int) -> str:
    if current_task().retried < fails:
        raise ConnectionError("try again")
    return "well"


@app.task
def again(delay: float) -> str:
    if not current_task().retried:
        raise Retry("later", delay=delay)
    return "done"


@app.task
def later() -> None:
    raise Snooze(3600)


@app.task
def first(name: str) -> None:
    welcome.delay(name)


@app.task
def forever() -> None:
    forever.delay()


@app.task(unique=600)
def once(key: str) -> None:
    send(key)


@app.task(name="email:deliver", queue="mail")
def deliver(queue: str, count: int = 1) -> Any:
    return [queue, count]


@app.task
def follow(name: str) -> str:
    made = report._make_call((1,), {}, report._options)
    current_task()._then(TaskMessage.decode(made.encode()))
    return name

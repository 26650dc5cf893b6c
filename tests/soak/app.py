"""What runs in the soak: most of it ends well, some fails, some is cancelled, some is big."""

from __future__ import annotations

import asyncio

from taskflow import TaskFlow

QUEUE = "soak"
CANCEL_QUEUE = "soak-cancelled"

app = TaskFlow("soak", enqueue_timeout=30)


@app.task(queue=QUEUE)
def ok(number: int) -> int:
    return number + 1


@app.task(queue=QUEUE, retention=5)
def kept(number: int) -> str:
    return f"result {number}"


@app.task(queue=QUEUE, max_retries=0)
def fails(number: int) -> None:
    raise ValueError(f"{number} is not wanted")


@app.task(queue=QUEUE, max_retries=1, default_retry_delay=1)
def fails_twice(number: int) -> None:
    raise OSError(f"{number} cannot be reached")


@app.task(queue=QUEUE)
def big(text: str) -> int:
    return len(text)


@app.task(queue=CANCEL_QUEUE, max_retries=0)
async def cancelled(number: int) -> None:
    await asyncio.sleep(600)


@app.task(queue=QUEUE)
async def coroutine(number: int) -> int:
    await asyncio.sleep(0)
    return number

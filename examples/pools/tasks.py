"""Three tasks, each in the pool that fits it, in one worker."""

import asyncio
import os
import threading
import time

from taskflow import TaskFlow
from taskflow.errors import TaskTimeout

app = TaskFlow("pools", retention=600, max_retries=0)


def place() -> dict[str, object]:
    """Where this runs."""
    return {"pid": os.getpid(), "main thread": threading.current_thread() is threading.main_thread()}


@app.task
def fetch(seconds: float) -> dict[str, object]:
    """Waits for something outside: in one of the worker's threads."""
    time.sleep(seconds)
    return place()


@app.task
async def ask(seconds: float) -> dict[str, object]:
    """Waits, too: on the event loop, where hundreds can."""
    await asyncio.sleep(seconds)
    return place()


@app.task(pool="processes", queue="computing")
def count_primes(below: int) -> dict[str, object]:
    """Computes: in a process of its own, which holds up nobody."""
    primes = sum(
        all(number % divisor for divisor in range(2, int(number**0.5) + 1)) for number in range(2, below)
    )
    return {**place(), "primes": primes}


@app.task(pool="processes", queue="computing", timeout=1, hard_timeout=30)
def hang(seconds: float) -> str:
    """Blocks for too long: the soft limit comes inside the call, since this is the main thread."""
    began = time.monotonic()
    try:
        time.sleep(seconds)
    except TaskTimeout:
        return f"interrupted after {time.monotonic() - began:.0f} s of {seconds:.0f}"
    return "slept"

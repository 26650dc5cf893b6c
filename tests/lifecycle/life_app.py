"""An app with hooks, resources, dependencies, a middleware and listeners of all kinds, which write a line each to a file."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from taskflow import CurrentTask, Depends, TaskFlow
from taskflow.events import (
    ChildStopped,
    Event,
    Poisonous,
    Succeeded,
    TaskEvent,
    WorkerStarted,
    WorkerStopping,
)

app = TaskFlow("life", retention=60, max_retries=0)
FAILS = os.environ.get("TASKFLOW_TEST_FAILS", "")


def write(*words: object) -> None:
    with open(os.environ["TASKFLOW_TEST_LIFE"], "a") as file:
        file.write(" ".join(map(str, (os.getpid(), *words))) + "\n")


def fail_if(where: str) -> None:
    """Fail while the file of this name is there."""
    if where and os.path.exists(f"{FAILS}.{where}"):
        raise ConnectionError(f"{where} is away")


# --- processes --------------------------------------------------------------------------------------------------------


@app.on_child_start
def child_starts() -> None:
    write("child-start", threading.current_thread() is threading.main_thread())
    fail_if("child")


@app.on_child_start
async def child_starts_on_its_loop() -> None:
    await asyncio.sleep(0)
    write("child-start-async")


@app.on_child_stop
def child_stops() -> None:
    write("child-stop")


@app.on_child_stop
def child_stops_first() -> None:
    write("child-stop-first")
    raise RuntimeError("the others are called all the same")


@app.on_worker_start
def worker_starts() -> None:
    write("worker-start")


@app.on_worker_stop
async def worker_stops() -> None:
    await asyncio.sleep(0)
    write("worker-stop")


# --- resources and dependencies ---------------------------------------------------------------------------------------


@app.resource
def engine() -> Iterator[str]:
    write("engine-open")
    yield f"engine-{os.getpid()}"
    write("engine-close")


@app.resource
async def pool(engine: Annotated[str, Depends(engine)]) -> AsyncIterator[asyncio.AbstractEventLoop]:
    await asyncio.sleep(0)
    write("pool-open", engine)
    yield asyncio.get_running_loop()
    write("pool-close", asyncio.get_running_loop().is_running())


@app.resource(start=True)
def at_start() -> Iterator[int]:
    fail_if("resource")
    write("at-start-open")
    yield 1
    write("at-start-close")


def session(engine: Annotated[str, Depends(engine)]) -> Iterator[str]:
    write("session-open")
    yield engine
    write("session-close")


def failing_session() -> Iterator[str]:
    try:
        yield ""
    except BaseException as error:
        write("session-rollback", type(error).__name__)
        raise


# --- tasks ------------------------------------------------------------------------------------------------------------


@app.middleware
def around(task: CurrentTask) -> Iterator[None]:
    write("before", task.name)
    yield
    write("after", task.name)


@app.task(name="works")
def works(number: int, session: Annotated[str, Depends(session)]) -> str:
    return f"{number} {session}"


@app.task(name="aworks")
async def aworks(
    number: int,
    session: Annotated[str, Depends(session)],
    pool: Annotated[asyncio.AbstractEventLoop, Depends(pool)],
) -> str:
    assert pool is asyncio.get_running_loop()
    return f"{number} {session}"


@app.task(name="sleeps")
def sleeps(session: Annotated[str, Depends(failing_session)]) -> None:
    write("sleeping")
    time.sleep(60)


@app.task(name="dies")
def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.on(Succeeded)
def succeeded(event: Succeeded) -> None:
    write("succeeded", event.task)


@app.on(WorkerStarted, WorkerStopping, ChildStopped, Poisonous)
def of_the_worker(event: Event) -> None:
    write(type(event).__name__, event.id if isinstance(event, TaskEvent) else "")

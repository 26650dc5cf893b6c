"""Tasks whose starts and ends are written to a file outside the tested server: `TASKFLOW_TEST_LEDGER`."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import socket
import time

from taskflow import Reject, Retry, TaskFlow, current_task
from taskflow.errors import TaskTimeout
from taskflow.message.task_message import TaskMessage
from tests.lifecycle.held import apause, is_over, pause

# For the queues that a test names: {"q": {"partitions": 6}}
app = TaskFlow("lifecycle", retention=600, queues=json.loads(os.environ.get("TASKFLOW_TEST_QUEUES", "{}")))


def note(event: str, tag: str) -> None:
    """One line: event, tag, process id, monotonic time."""
    line = f"{event} {tag} {os.getpid()} {time.monotonic():.3f}\n"
    descriptor = os.open(os.environ["TASKFLOW_TEST_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line.encode())
    os.close(descriptor)


def starts(tag: str) -> int:
    """How often it has started, this time included."""
    with open(os.environ["TASKFLOW_TEST_LEDGER"]) as ledger:
        return sum(line.startswith(f"start {tag} ") for line in ledger)


@app.task(max_retries=0)
def work(tag: str, seconds: float = 0.0) -> str:
    note("start", tag)
    pause(tag, seconds)
    note("end", tag)
    return tag


@app.task(max_retries=0)
def swallow(tag: str, seconds: float) -> str:
    """Goes on for its time, whatever is raised in it."""
    note("start", tag)
    began = time.monotonic()
    while not is_over(tag, began, seconds):
        with contextlib.suppress(TimeoutError, TaskTimeout):
            time.sleep(0.01)
    return tag


_leaked: list[bytearray] = []


@app.task(max_retries=0)
def leak(tag: str, megabytes: int) -> int:
    """The process keeps so much; MiB of memory that it has then."""
    note("start", tag)
    _leaked.append(bytearray(megabytes << 20))
    time.sleep(0.005)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


@app.task(max_retries=0)
def pass_on(tag: str, queue: str) -> str:
    return work.options(queue=queue).delay(tag).id


@app.task(max_retries=0)
async def async_work(tag: str, seconds: float = 0.0) -> str:
    note("start", tag)
    await apause(tag, seconds)
    note("end", tag)
    return tag


@app.task(max_retries=0)
def kill_own_process(tag: str) -> None:
    note("start", tag)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(max_retries=0, timeout=1, hard_timeout=2)
def stuck(kind: str) -> str:
    note("start", kind)
    if kind == "c-sleep":
        ctypes.PyDLL(None).sleep(120)  # holds the GIL
    elif kind == "read":
        ours, _theirs = socket.socketpair()
        ours.recv(1)
    elif kind == "swallow":
        while True:
            try:
                while True:
                    time.sleep(0.01)
            except Exception:  # noqa: BLE001 - what the test is about
                pass
    else:
        while True:
            pass
    return kind


@app.task(max_retries=0, timeout=1)
async def async_stuck() -> None:
    await asyncio.sleep(120)


@app.task(max_retries=1, default_retry_delay=1)
def fail_once(tag: str) -> int:
    note("start", tag)
    retried = current_task().retried
    if retried == 0:
        raise ValueError("the first attempt fails")
    return retried


@app.task(max_retries=2, default_retry_delay=1)
def lead(tag: str, queue: str, count: int, how: str = "well") -> str:
    """Has so many tasks follow it in a queue; `how` may be "second", the attempt that succeeds, "badly", or "after a crash"."""
    note("start", tag)
    current, retried = current_task(), current_task().retried
    for number in range(count):
        ending = f"{tag}.{retried}.{number}"
        message = TaskMessage(
            type=work.name,
            payload=json.dumps({"tag": ending}).encode(),
            id=f"{current.id}.{retried}.{number}",
            queue=queue,
            timeout=60,
        )
        current._then(message)
    if how == "after a crash" and starts(tag) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "badly":
        raise Reject("it is over")
    if how == "second" and retried == 0:
        raise ValueError("the first attempt fails")
    return tag


@app.task
def reject(reason: str) -> None:
    raise Reject(reason)


@app.task
def later(tag: str) -> int:
    note("start", tag)
    if current_task().retried == 0:
        raise Retry("not yet", delay=1)
    return current_task().retried


@app.task
def soon_again(tag: str) -> int:
    note("start", tag)
    if current_task().retried == 0:
        raise Retry("not yet", delay=0.3)
    return current_task().retried


@app.task
def secretive(token: str) -> str:
    raise ValueError(f"cannot use {token}")


@app.task
def add_up(group: str, items: list[dict[str, int]]) -> str:
    note("joined", f"{group}:{len(items)}:{sum(item['number'] for item in items)}")
    return group


@app.task
def single(number: int) -> None:
    note("single", str(number))


# For the queue that the test names: a rule belongs to a queue.
if os.environ.get("TASKFLOW_TEST_GROUPS"):
    app.aggregate(add_up, queue=os.environ["TASKFLOW_TEST_GROUPS"], grace=1, max_size=50)


@app.task(name="large:length", max_retries=0)
def length(text: str) -> int:
    return len(text)


@app.task(name="large:repeat", max_retries=0)
def repeat(count: int) -> str:
    return "x" * count


@app.task(max_retries=5)
def stubborn(tag: str, seconds: float) -> bool:
    """Goes on for its time, whatever is raised in it; whether it was cancelled."""
    note("start", tag)
    began = time.monotonic()
    while not is_over(tag, began, seconds):
        try:
            while not is_over(tag, began, seconds):
                time.sleep(0.01)
        except BaseException:  # noqa: BLE001 - what the test is about
            note("cancelled" if current_task().cancelled else "interrupted", tag)
    return current_task().cancelled

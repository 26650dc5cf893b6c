"""What the tests of preloading look at: who has imported this, and how often."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from pathlib import Path

from taskflow import TaskFlow
from taskflow.message.ids import new_id

HOME = Path(os.environ["TASKFLOW_TEST_PRELOAD"])


def write(name: str, text: object) -> None:
    with (HOME / name).open("a") as file:
        file.write(f"{os.getpid()} {text}\n")


write("imports", "")
if (HOME / "broken").exists():
    raise RuntimeError("this import is broken")
if (HOME / "threads").exists():
    threading.Thread(target=time.sleep, args=(1000,), name="somebody's metrics", daemon=True).start()
if (HOME / "connection").exists():
    port = int((HOME / "connection").read_text())
    database = socket.create_connection(("127.0.0.1", port))

new_id()  # so that there are random numbers in store, which a fork would have, too
ballast = bytearray(os.urandom(1 << 20)) * 60
code = (HOME / "code").read_text()

app = TaskFlow("preloaded", retention=600)


@app.on_child_start
def started() -> None:
    write("starts", "")
    if code == "refuses":
        raise RuntimeError("not with this code")


@app.task(name="who")
def who(seconds: float = 0.0) -> list[object]:
    """The process, its session and group, and what must differ between two."""
    time.sleep(seconds)
    return [os.getpid(), os.getsid(0), os.getpgid(0), code, new_id(), random.random()]


@app.task(name="awho")
async def awho() -> int:
    return os.getpid()


@app.task(name="enqueue")
def enqueue(count: int) -> list[str]:
    """Uses the app's connection."""
    queue = os.environ["TASKFLOW_TEST_QUEUE"]
    return [str(awho.options(queue=queue).delay().get(20)) for _ in range(count)]


@app.task(name="leave_behind")
def leave_behind() -> int:
    """A process that leaves the group, and whose parent ends."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        if os.fork() == 0:
            os.setsid()
            os.write(writing, str(os.getpid()).encode())
            time.sleep(0.3)
        os._exit(0)
    return int(os.read(reading, 100))


if (HOME / "beside").exists():

    @app.task(name="beside", pool="threads")
    def beside() -> int:
        return os.getpid()

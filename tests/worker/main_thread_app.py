"""Tasks that block, for children that run them in their main thread."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from taskflow import TaskFlow
from taskflow.errors import TaskTimeout

app = TaskFlow("main-thread", broker="redis://127.0.0.1:1", retention=60)
logger = logging.getLogger("tests.main_thread")


class Slow(logging.Handler):
    """The log's lock is held nearly all the time."""

    def emit(self, record: logging.LogRecord) -> None:
        for _ in range(200):
            pass


logger.addHandler(Slow())
logger.propagate = False


@app.task(name="where")
def where() -> str:
    return threading.current_thread().name


@app.task(name="quick")
def quick(rounds: int = 0) -> int:
    """Ends by itself, in pure Python: any moment of it could be hit."""
    for _ in range(rounds):
        pass
    return rounds


@app.task(name="sleeps", max_retries=0)
def sleeps(seconds: float) -> None:
    time.sleep(seconds)


@app.task(name="receives", max_retries=0)
def receives() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.recv(1)


@app.task(name="reads", max_retries=0)
def reads() -> None:
    reading, writing = os.pipe()
    try:
        os.read(reading, 1)
    finally:
        os.close(reading)
        os.close(writing)


@app.task(name="locked", max_retries=0)
def locked() -> None:
    lock = threading.Lock()
    with lock:
        lock.acquire()


@app.task(name="waits", max_retries=0)
def waits() -> None:
    threading.Event().wait()


@app.task(name="runs_a_program", max_retries=0)
def runs_a_program(file: str) -> None:
    program = f"import os, time; open({file!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    subprocess.run([sys.executable, "-c", program], check=False)


@app.task(name="runs_a_loop", max_retries=0)
def runs_a_loop() -> None:
    asyncio.run(asyncio.sleep(60))


@app.task(name="computes", max_retries=0)
def computes() -> None:
    while True:
        pass


@app.task(name="logs", max_retries=0)
def logs() -> None:
    while True:
        logger.warning("a line")


@app.task(name="cleans_up")
def cleans_up() -> str:
    try:
        time.sleep(60)
    except TaskTimeout:
        time.sleep(0.3)  # is not disturbed again
        return "clean"
    return "never"


class Finalized:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __del__(self) -> None:
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            pass


@app.task(name="finalizes", max_retries=0)
def finalizes() -> None:
    """Python only prints what is raised in a finalizer."""
    Finalized(0.5)
    time.sleep(60)


@app.task(name="own_alarm", max_retries=0)
def own_alarm() -> str:
    """Code that has its own signals, as in any program: they need the main thread."""
    heard = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: heard.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        time.sleep(0.2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return "heard" if heard else "nothing"


@app.task(name="forks", max_retries=0)
def forks() -> int:
    """What the signal of a limit does in a fork: nothing."""
    pid = os.fork()
    if not pid:
        os.kill(os.getpid(), signal.SIGURG)
        os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@app.task(name="asleep", max_retries=0)
async def asleep() -> None:
    await asyncio.sleep(60)

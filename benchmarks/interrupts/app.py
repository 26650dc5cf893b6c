"""Tasks that block, and write down what they were told and when."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from taskflow import TaskFlow

app = TaskFlow("interrupts", broker=os.environ.get("INTERRUPTS_BROKER"))


def note(*words: object) -> None:
    with Path(os.environ["INTERRUPTS_LEDGER"]).open("a") as ledger:
        ledger.write(" ".join(str(word) for word in words) + "\n")


@app.task(queue="interrupts", max_retries=0)
def block(number: int, call: str) -> None:
    note("start", number, time.time())
    one, other = socket.socketpair()
    try:
        if call == "sleep":
            time.sleep(60)
        else:
            one.recv(1)
    except BaseException as error:
        note("raised", number, time.time(), type(error).__name__)
        raise
    finally:
        one.close()
        other.close()


@app.task(queue="interrupts", max_retries=0, retention=60)
def follow(number: int) -> int:
    """The next task, which nothing is meant for."""
    time.sleep(0.02)
    return number

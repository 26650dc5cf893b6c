"""The app: its task writes down when it started. Also the producer, as a program: `python -m tests.chaos.silent.app threads`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from taskflow import TaskFlow

LEDGER = "TASKFLOW_SILENT_LEDGER"
PERIOD = 0.05
"""Seconds between the end of a call and the next."""

app = TaskFlow("silent", queue=os.environ.get("TASKFLOW_SILENT_QUEUE", "silent"))


@app.task(name="silent:mark")
def mark(tag: str) -> None:
    """One line, in one write, so that whoever reads sees it whole."""
    descriptor = os.open(os.environ[LEDGER], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{tag} {time.monotonic()}\n".encode())
    os.close(descriptor)


def _say(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


class _Call:
    """One call, as a line on stdout when it has ended."""

    def __init__(self, tag: str) -> None:
        self._tag = tag

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        ended = time.monotonic()
        said = "" if kind is None else f"{kind.__name__}: {error}"
        _say(tag=self._tag, began=self._began, ended=ended, error=said)
        return kind is None or issubclass(kind, Exception)


def _threads(task: Any, name: str, ended: Callable[[], bool]) -> None:
    number = 0
    while not ended():
        number += 1
        with _Call(f"{name}-{number}"):
            task.delay(f"{name}-{number}")
        time.sleep(PERIOD)


async def _asyncio(task: Any, name: str, ended: Callable[[], bool]) -> None:
    number = 0
    while not ended():
        number += 1
        with _Call(f"{name}-{number}"):
            await task.adelay(f"{name}-{number}")
        await asyncio.sleep(PERIOD)


def main(kind: str, durable: bool) -> None:
    """Enqueue one task after the other until stdin ends."""
    done = threading.Event()
    watch = threading.Thread(target=lambda: (os.read(0, 1), done.set()), daemon=True)
    watch.start()
    task = mark.options(durable=True) if durable else mark
    name = f"{kind}-{'durable' if durable else 'plain'}"
    if kind == "threads":
        _threads(task, name, done.is_set)
    else:
        asyncio.run(_asyncio(task, name, done.is_set))


if __name__ == "__main__":
    main(sys.argv[1], "durable" in sys.argv)

"""What Python tasks have run: each writes one line to a file, which the test reads."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from taskflow import current_task
from tests.servers import wait_until

VARIABLE = "TASKFLOW_TEST_RUNS"
"""Names the file, for the worker."""

Run = dict[str, Any]
"""One start of a task: "name", "id", "queue", "retried", "max_retry", "headers", "deadline" and "at" (Unix times), and its
"arguments"."""


def note(**arguments: Any) -> Run:
    """Write down, from inside a task, that it runs."""
    task = current_task()
    run = {
        "name": task.name,
        "id": task.id,
        "queue": task.queue,
        "retried": task.retried,
        "max_retry": task.max_retries,
        "headers": dict(task.headers),
        "deadline": task.deadline.timestamp(),
        "at": time.time(),
        "arguments": arguments,
    }
    with open(os.environ[VARIABLE], "ab", buffering=0) as file:
        file.write(
            json.dumps(run).encode() + b"\n"
        )  # one write in append mode: lines of several threads never mix
    return run


class Runs:
    """The runs that were written to one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def of(self, *, queue: str | None = None, id: str | None = None) -> list[Run]:
        """The runs so far in this queue, or of this task, in order."""
        runs = [json.loads(line) for line in self.path.read_bytes().splitlines()]
        return [run for run in runs if queue in (None, run["queue"]) and id in (None, run["id"])]

    def wait_for(self, task_id: str, *, queue: str | None = None, times: int = 1, timeout: float = 20) -> Run:
        """Wait until the task has started so many times; the last of them."""
        wait_until(
            lambda: len(self.of(queue=queue, id=task_id)) >= times,
            description=f"Python runs task {task_id} for the {times}. time",
            timeout=timeout,
        )
        return self.of(queue=queue, id=task_id)[-1]

"""Python's side of a test with Go: the app, a worker that runs its tasks, and what it has run."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from taskflow import AsyncResult, State, TaskFlow
from tests.interop.apps import runs
from tests.interop.apps.handlers import build
from tests.interop.apps.runs import Runs
from tests.servers import wait_until
from tests.workers import WorkerProcess

APP = "tests.interop.apps.handlers:app"

_names = (f"python-{uuid.uuid4().hex[:6]}-{number}" for number in itertools.count(1))


@dataclass
class PythonSide:
    """An app of the test's own process, and a worker with the same tasks."""

    app: TaskFlow
    worker: WorkerProcess
    runs: Runs
    queues: list[str] = field(default_factory=list)

    def queue(self) -> str:
        """A queue that the worker serves and that no other test has."""
        return self.queues.pop()

    def task(self, name: str) -> Any:
        """A task of the app."""
        return self.app.get_task(name)

    def result(self, task_id: str, queue: str) -> AsyncResult[Any]:
        """A handle on a task that somebody else has enqueued."""
        return self.app.result(task_id, queue=queue)

    def wait_for_state(self, state: State | None, task_id: str, queue: str, timeout: float = 20) -> None:
        """Wait until the task is in this state; None: until it is gone."""
        result = self.result(task_id, queue)
        wait_until(
            lambda: result.state is state, description=f"task {task_id} is {state or 'gone'}", timeout=timeout
        )


@contextmanager
def python_side(broker: str, directory: Path, *, spare: int = 0, **options: Any) -> Iterator[PythonSide]:
    """Start a worker.

    Args:
        broker: its URL.
        directory: where the runs are written down.
        spare: how many queues it serves for `PythonSide.queue`.
        **options: of the worker; `queues` are those that it serves besides.
    """
    names = [next(_names) for _ in range(spare)]
    options["queues"] = {**dict.fromkeys(names, 1), **options.get("queues", {})}
    path = directory / f"runs-{uuid.uuid4().hex[:6]}"
    app = build(broker)
    try:
        with WorkerProcess(APP, broker=broker, environment={runs.VARIABLE: str(path)}, **options) as worker:
            yield PythonSide(app, worker, Runs(path), names)
    finally:
        app.close()

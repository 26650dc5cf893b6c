"""The table of docs/deployment.md that says how many connections to a database a worker has: each line of it is counted.

By a real PostgreSQL and Django's ORM. All workers run at once, each with a database of its own.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from taskflow import AsyncResult, TaskFlow
from tests.contrib.web import STRICT
from tests.postgres import Database, Postgres
from tests.servers import Server, wait_until
from tests.workers import READY, WorkerProcess

PAGE = Path(__file__).parents[2] / "docs" / "deployment.md"

SETTINGS = """
import json, os

SECRET_KEY = "of a test"
INSTALLED_APPS = ["taskflow.contrib.django", "held"]
DATABASES = json.loads(os.environ["TEST_DATABASES"])
TASKFLOW = {"RETENTION": 600}
USE_TZ = True
"""

TASKS = """
import asyncio, time
from pathlib import Path

from asgiref.sync import sync_to_async
from django.db import connection
from taskflow import current_task, shared_task

def ask(folder):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    (folder / current_task().id).touch()

@shared_task(name="hold")
def hold(folder: str) -> None:
    ask(Path(folder))
    while not Path(folder, "enough").exists():
        time.sleep(0.02)

@shared_task(name="ahold")
async def ahold(folder: str) -> None:
    await sync_to_async(ask)(Path(folder))
    while not Path(folder, "enough").exists():
        await asyncio.sleep(0.02)
"""


@dataclass(frozen=True)
class Line:
    """A line of the table: the worker, what Django is told of the database, and how many connections there are."""

    worker: str
    more: dict[str, object]
    busy: int
    idle: int

    @property
    def task(self) -> str:
        return "ahold" if "coroutines" in self.worker else "hold"

    @property
    def options(self) -> dict[str, object]:
        """Of the worker."""
        found = dict(re.findall(r"(-c|-P|--processes) (\w+)", self.worker))
        names = {"-c": "concurrency", "-P": "pool", "--processes": "processes"}
        return {names[name]: value for name, value in found.items()}

    @property
    def tasks(self) -> int:
        """As many as run at once."""
        options = self.options
        return int(str(options["concurrency"])) * int(str(options.get("processes", 1)))


def table() -> list[Line]:
    """The lines of the page."""
    part = PAGE.read_text().partition("## Connections to a database")[2].partition("\n## ")[0]
    return [
        Line(worker, ast.literal_eval(f"{{{more}}}"), int(busy), int(idle))
        for worker, more, busy, idle in re.findall(
            r"(?m)^\| (.*?) \| (?:nothing|`(.+?)`) \| (\d+) \| (\d+) \|$", part
        )
    ]


LINES = table()


@dataclass(frozen=True)
class Counted:
    """A line with what there is of it."""

    line: Line
    database: Database
    folder: Path
    handles: list[AsyncResult[None]]


@pytest.fixture(scope="module")
def running(
    postgres: Postgres, valkey: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Counted]]:
    """A worker for each line, with as many tasks as it runs at once, all of which have asked the database."""
    project = tmp_path_factory.mktemp("connections")
    (project / "settings.py").write_text(SETTINGS)
    (project / "held").mkdir()
    (project / "held" / "__init__.py").touch()
    (project / "held" / "tasks.py").write_text(TASKS)
    app = TaskFlow("caller", broker=valkey.url, retention=600)
    counted: list[Counted] = []
    workers: list[WorkerProcess] = []
    with ExitStack() as stack:
        stack.callback(app.close)
        for number, line in enumerate(LINES):
            queue, database, folder = f"line{number}", postgres.create(), project / str(number)
            folder.mkdir()
            environment = {
                **STRICT,
                "DJANGO_SETTINGS_MODULE": "settings",
                "TASKFLOW_BROKER": valkey.url,
                "TEST_DATABASES": json.dumps({"default": database.of_django(**line.more)}),
            }
            handles = [
                app.send_task(line.task, kwargs={"folder": str(folder)}, queue=queue, max_retries=0)
                for _ in range(line.tasks)
            ]
            worker = WorkerProcess(
                "settings",
                directory=project,
                environment=environment,
                ready=False,  # all of them start at once
                queues={queue: 1},
                **line.options,
            )
            workers.append(stack.enter_context(worker))
            counted.append(Counted(line, database, folder, handles))
        for worker in workers:
            worker.wait_for_log(READY, timeout=60)
        try:
            yield counted
        finally:
            for one in counted:
                (one.folder / "enough").touch()


def test_the_table_has_every_kind_of_worker() -> None:
    text = " ".join(line.worker for line in LINES)
    assert len(LINES) == 6
    assert all(word in text for word in ("--processes", "-P processes", "coroutines"))


def test_a_worker_has_as_many_connections_as_the_page_says(running: list[Counted]) -> None:
    """While all its tasks run, and when they have ended. With a pool the others wait for one of its connections."""
    for one in running:
        wait_until(
            lambda one=one: len(list(one.folder.iterdir())) == one.line.busy,  # type: ignore[misc]
            description=f"{one.line}: {one.line.busy} tasks have asked the database",
            timeout=60,
        )
        assert one.database.connections() == one.line.busy, one.line
    for one in running:
        (one.folder / "enough").touch()
        for handle in one.handles:
            handle.get(timeout=60)
        wait_until(
            lambda one=one: one.database.connections() == one.line.idle,  # type: ignore[misc]
            description=f"{one.line}: {one.line.idle} connections when nothing runs",
            timeout=60,
        )

"""examples/celery_project: a project of Celery's documentation, of which only the imports were changed.

Each of its names works, or is refused where it is written; none fails in the worker.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskflow.errors import AppNotFound
from taskflow.tasks.loader import load_app
from tests.contrib.test_examples import EXAMPLES, copy_of
from tests.servers import Server
from tests.workers import ROOT, WorkerProcess


def test_each_of_its_tasks_does_what_it_does_with_celery(valkey: Server, tmp_path: Path) -> None:
    """The worker is started in Celery's words, too."""
    directory = copy_of("celery_project", tmp_path)
    environment = {"TASKFLOW_BROKER": valkey.url}
    words = {"loglevel": "INFO", "pool": "prefork", "concurrency": 4, "queues": {"default": 1, "feeds": 1}}
    with WorkerProcess("proj", directory=directory, environment=environment, **words) as worker:
        shown = subprocess.run(
            [sys.executable, "client.py"],
            cwd=directory,
            env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert shown.returncode == 0, shown.stderr
        worker.wait_for_log(re.compile(r"proj.tasks.notify\[.*\] succeeded").search)
        hook = worker.wait_for_log("proj.tasks.find")
        log = worker.log

    text = (EXAMPLES / "celery_project" / "README.md").read_text()
    wanted = [
        line.strip() for line in text.partition("client.py\n")[2].splitlines() if line.startswith("    ")
    ]
    assert [line.split(" ")[0] for line in shown.stdout.splitlines()] == [
        line.split(" ")[0] for line in wanted
    ]
    assert shown.stdout.splitlines() == wanted
    assert hook
    assert any("has failed: KeyError" in line for line in log), "the hook of its class was told"
    found = [line for line in log if "proj.tasks.find[" in line and "failed in" in line]
    assert len(found) == 1, "what is expected is not tried again"
    assert "ERROR" not in found[0]


LINES = {
    "from taskflow import group": "chains, groups",
    "from taskflow import Celery": "from taskflow import TaskFlow",
    "from taskflow.schedules import crontab": "schedules are not there yet",
    "from taskflow.utils.log import get_task_logger": "logging.getLogger",
    "from taskflow.exceptions import Ignore": "all errors are in taskflow.errors",
    "from taskflow.errors import Ignore": "taskflow.errors has no Ignore",
    "TaskFlow('proj', backend='rpc://')": "results are kept with their tasks",
    "app.conf.result_backend = 'rpc://'": "results are kept with their tasks",
    "app.conf.beat_schedule = {}": "schedules are not there yet",
    "app.conf.worker_concurrency = 4": "taskflow worker -c",
    "app.conf.task_acks_late = False": "acknowledged after it has run",
    "app.conf.task_routes = {'x': {'exchange': 'y'}}": "use `queue`",
    "app.conf.task_serializer = 'pickle'": "JSON",
    "app.add_periodic_task(10.0, None)": "schedules are not there yet",
    "app.control.revoke('x')": "app.cancel(...)",
    "app.register_task(None)": "declared by @app.task",
    "app.task(rate_limit='10/m')(add)": "there are no rate limits",
    "app.task(priority=5)(add)": "-Q high=6,low=1",
    "app.task(acks_late=False)(add)": "acknowledged after it has run",
    "app.task(serializer='pickle')(add)": "serializer",
    "app.task(add).s(2, 2)": "chains, groups",
    "app.task(add).signature((2, 2))": "chains, groups",
    "app.task(add).max_retries = 5": "give it to the declaration",
    "app.task(add).apply_async((2, 2), link=None, routing_key='x')": "use `queue`",
    "app.task(bind=True)(state)": "uses self.update_state",
    "app.task(bind=True)(parent)": "uses self.request.parent_id",
    "app.task(bind=True)(again)": "uses self.retry: it takes no kwargs",
    "app.task(bind=True)(count)": "no attributes of your own",
    "app.task(retry_kwargs={'args': ()})(add)": "cannot hold 'args'",
}

MODULE = """
from taskflow import TaskFlow

app = TaskFlow("proj", broker="redis://127.0.0.1:1")

def add(x, y):
    return x + y

def state(self):
    self.update_state(state="PROGRESS")

def parent(self):
    return self.request.parent_id

def again(self):
    self.retry(kwargs={"x": 1})

def count(self):
    self.count = 1

"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def write(line: str) -> None:
        (tmp_path / "celery_lines.py").write_text(f"{MODULE}{line}\n")
        importlib.invalidate_caches()

    yield write
    sys.modules.pop("celery_lines", None)


@pytest.mark.parametrize("line", LINES)
def test_what_there_is_not_ends_the_import_with_what_to_write(
    module: Callable[[str], None], line: str
) -> None:
    """A worker that has started runs its tasks: nobody waits for the one that nobody has tried."""
    module(line)
    with pytest.raises(AppNotFound) as caught:
        load_app("celery_lines")
    assert LINES[line] in str(caught.value)

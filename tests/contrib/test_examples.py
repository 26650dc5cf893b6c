"""examples/flask_app and django_project: the view enqueues, the worker runs, the other view shows it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.contrib.web import STRICT, Web, serve
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess

EXAMPLES = Path(__file__).parents[2] / "examples"


def copy_of(example: str, directory: Path) -> Path:
    """The example without what running it has left behind."""
    target = directory / example
    shutil.copytree(EXAMPLES / example, target, ignore=shutil.ignore_patterns("__pycache__", "db.sqlite3"))
    return target


def shown(web: Web, path: str) -> dict[str, Any]:
    """What the view shows once the task has ended."""
    answers: list[dict[str, Any]] = []

    def has_ended() -> bool:
        status, answer = web.get(path)
        assert status == 200, answer
        answers.append(answer)
        return answer["state"] in ("completed", "archived")

    wait_until(has_ended, description="the view shows the end of the task")
    return answers[-1]


def test_the_flask_example_counts_words(valkey: Server, tmp_path: Path) -> None:
    pytest.importorskip("flask")
    directory = copy_of("flask_app", tmp_path)
    environment = {"TASKFLOW_BROKER": valkey.url}
    flask = ["-m", "flask", "--app", "web", "run", "--port", "PORT"]

    with serve(directory, flask, environment) as web:
        status, enqueued = web.post("/count", text="one two three")
        assert status == 202
        assert web.get(enqueued["result"]) == (200, {"state": "pending"})

        with WorkerProcess("tasks", directory=directory, environment=STRICT | environment, concurrency=2):
            assert shown(web, enqueued["result"]) == {"state": "completed", "words": 3}

        assert web.get(f"/count/{uuid.uuid4()}")[0] == 404
        assert web.post("/count", words="none of them is text")[0] == 400


def test_the_flask_example_says_503_when_the_broker_is_away(tmp_path: Path) -> None:
    """Within the five seconds that `.delay()` takes at most."""
    pytest.importorskip("flask")
    directory = copy_of("flask_app", tmp_path)
    flask = ["-m", "flask", "--app", "web", "run", "--port", "PORT"]

    with serve(directory, flask, {"TASKFLOW_BROKER": "redis://127.0.0.1:1"}) as web:
        assert web.post("/count", text="one two three") == (503, {"error": "try again later"})


def test_the_django_example_prices_an_order(valkey: Server, tmp_path: Path) -> None:
    """`-A shop.tasks` sets Django up in the worker; nothing warns, there or in the web server."""
    pytest.importorskip("django")
    directory = copy_of("django_project", tmp_path)
    environment = {"TASKFLOW_BROKER": valkey.url}
    manage(directory, environment, "migrate", "--verbosity=0")
    runserver = ["manage.py", "runserver", "--noreload", "127.0.0.1:PORT"]

    with serve(directory, runserver, environment) as web:
        status, enqueued = web.post("/orders/", product="apple", quantity="3")
        assert status == 202
        assert web.get(enqueued["result"]) == (200, {"state": "pending", "total": None})

        with WorkerProcess("shop.tasks", directory=directory, environment=STRICT | environment) as worker:
            assert shown(web, enqueued["result"]) == {"state": "completed", "total": "1.20"}
            assert worker.terminate() == 0
        assert not [line for line in worker.log if "Warning" in line or "Traceback" in line]

        assert web.post("/orders/", product="melon", quantity="3")[0] == 400


def test_the_django_example_needs_no_new_migration(tmp_path: Path) -> None:
    """And the module with the tasks can be imported under manage.py, where Django is set up already."""
    pytest.importorskip("django")
    directory = copy_of("django_project", tmp_path)

    manage(directory, {}, "makemigrations", "--check", "--dry-run")
    manage(directory, {}, "check")
    manage(
        directory, {}, "shell", "--command", "import shop.tasks; assert shop.tasks.price.queue == 'orders'"
    )


def manage(directory: Path, environment: dict[str, str], *arguments: str) -> None:
    command = [sys.executable, "manage.py", *arguments]
    env = {**os.environ, **STRICT, **environment}
    done = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr, done.stderr

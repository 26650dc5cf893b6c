"""examples/django_project and others: the view enqueues, the worker runs, the other view shows it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
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


def test_the_django_example_prices_an_order(valkey: Server, tmp_path: Path) -> None:
    """`-A config` sets Django up in the worker; nothing warns, there or in the web server."""
    directory = copy_of("django_project", tmp_path)
    environment = {"TASKFLOW_BROKER": valkey.url}
    manage(directory, environment, "migrate", "--verbosity=0")
    runserver = ["manage.py", "runserver", "--noreload", "127.0.0.1:PORT"]

    with serve(directory, runserver, environment) as web:
        status, enqueued = web.post("/orders/", product="apple", quantity="3")
        assert status == 202
        assert web.get(enqueued["result"]) == (200, {"state": "pending", "total": None})

        with WorkerProcess("config", directory=directory, environment=STRICT | environment) as worker:
            assert shown(web, enqueued["result"]) == {"state": "completed", "total": "1.20"}
            assert worker.terminate() == 0
        assert not [line for line in worker.log if "Warning" in line or "Traceback" in line]

        assert web.post("/orders/", product="melon", quantity="3")[0] == 400


def test_the_django_example_needs_no_new_migration(tmp_path: Path) -> None:
    """Its tasks go where its setting says, and its own tests pass."""
    directory = copy_of("django_project", tmp_path)

    manage(directory, {}, "makemigrations", "--check", "--dry-run")
    manage(directory, {}, "check")
    manage(
        directory, {}, "shell", "--command", "import shop.tasks; assert shop.tasks.price.queue == 'orders'"
    )
    tested = ran(directory, {}, "manage.py", "test")
    assert tested.returncode == 0, tested.stderr
    assert "Ran 3 tests" in tested.stderr


@pytest.mark.parametrize("example", ["results", "cancel"])
def test_an_example_prints_what_its_page_says(valkey: Server, tmp_path: Path, example: str) -> None:
    directory = copy_of(example, tmp_path)
    environment = {"TASKFLOW_BROKER": valkey.url}
    queues = {"results": {"parcels": 1, "letters": 1}, "cancel": {"reports": 1}}[example]

    with WorkerProcess("tasks", directory=directory, environment=STRICT | environment, queues=queues):
        done = ran(directory, environment, "ask.py")

    assert done.stdout.splitlines() == told((directory / "README.md").read_text()), done.stderr


def test_the_failures_example_reads_what_failed(own_server: Server, tmp_path: Path) -> None:
    """It looks through all queues, so it has a server of its own."""
    directory = copy_of("failures", tmp_path)
    environment = {"TASKFLOW_BROKER": own_server.url}
    page = (directory / "README.md").read_text().partition("Then read")[0]

    with WorkerProcess("tasks", directory=directory, environment=STRICT | environment, queues={"orders": 1}):
        done = ran(directory, environment, "pay.py")

    assert done.stdout.splitlines() == told(page), done.stderr


def test_the_serialization_example_shows_what_is_in_the_broker(valkey: Server, tmp_path: Path) -> None:
    directory = copy_of("serialization", tmp_path)
    environment = {"TASKFLOW_BROKER": valkey.url, "EXAMPLE_STORE": str(tmp_path / "store")}

    with WorkerProcess("tasks", directory=directory, environment=STRICT | environment, queues={"reports": 1}):
        done = ran(directory, environment, "tasks.py")

    lines = done.stdout.splitlines()
    assert len(lines) == 8, done.stderr
    for line, kind in zip(
        lines, ["json; location=store", "json", "json; compression=zlib", "msgpack"], strict=False
    ):
        assert line.endswith(f" bytes in the broker, application/{kind}")
    assert lines[4:] == [
        "JSON, in the store   -> 134550",
        "JSON                 -> 4950",
        "JSON, zlib           -> 134550",
        r"msgpack              -> b'\x80'",
    ]


def test_the_example_at_the_desk_calls_its_task_and_runs_what_was_saved(
    valkey: Server, tmp_path: Path
) -> None:
    """Its commands, as they stand in its README."""
    directory = copy_of("desk", tmp_path)
    environment = {"TASKFLOW_BROKER": valkey.url}
    readme = (directory / "README.md").read_text()
    commands = [shlex.split(line) for line in re.findall(r"(?m)^    taskflow ((?:call|shell) .+)$", readme)]
    printed = re.findall(r'(?m)^    ("\d.+)$', readme)
    taskflow = str(Path(sys.executable).with_name("taskflow"))

    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **STRICT, **environment, "TASKFLOW_APP": "tasks"}
        return subprocess.run(
            [taskflow, *command], cwd=directory, env=env, capture_output=True, text=True, timeout=60
        )

    with WorkerProcess("tasks", directory=directory, environment=environment, reload=True) as worker:
        worker.wait_for_log("Watching the code")
        assert [run(command).stdout.strip() for command in commands[:2]] == printed
        refused = run(commands[2])
        assert (refused.returncode, "argument `sent`" in refused.stderr) == (2, True)
        assert run(commands[3]).stdout == "2026-12-06\n"
        tasks = directory / "tasks.py"
        tasks.write_text(tasks.read_text().replace("days: int = 3", "days: int = 10"))
        wait_until(lambda: run(commands[0]).stdout == '"2026-12-11"\n', description="the new code runs")


def ran(
    directory: Path, environment: dict[str, str], script: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """A script of an example, run in its folder."""
    command = [sys.executable, script, *arguments]
    env = {**os.environ, **STRICT, **environment}
    return subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, timeout=60)


def told(page: str) -> list[str]:
    """What a page says that is printed: its indented lines but for the commands."""
    return re.findall(r"(?m)^    (?!taskflow|python)(.+)$", page)


def manage(directory: Path, environment: dict[str, str], *arguments: str) -> None:
    done = ran(directory, environment, "manage.py", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr, done.stderr


def test_the_service_with_a_worker_of_its_own_writes_letters(valkey: Server, tmp_path: Path) -> None:
    directory = copy_of("embedded_worker", tmp_path)
    environment = os.environ | STRICT | {"TASKFLOW_BROKER": valkey.url}
    said = subprocess.run(
        [sys.executable, "service.py"],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.strip().endswith("'letter for Edsger': 17} healthy"), said.stdout + said.stderr

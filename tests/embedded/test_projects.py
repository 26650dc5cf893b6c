"""Programs that were given no broker: those of one project meet, those of others do not, and a test run meets nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow import embedded
from taskflow.embedded import EmbeddedConfig

APP = """
from taskflow import TaskFlow
app = TaskFlow("shop", retention=60)

@app.task(name="say")
def say(word: str) -> str:
    return word + " from {0}"
"""


class Desk:
    """Programs of somebody with a home of his own, none of them a test as far as they know."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "TASKFLOW_"))
        }
        self.environment |= {"XDG_DATA_HOME": str(home / "data"), "TASKFLOW_BROKER": ""}

    def project(self, name: str) -> Path:
        folder = self.home / name
        (folder / "jobs").mkdir(parents=True)
        (folder / "pyproject.toml").touch()
        (folder / "shop.py").write_text(APP.format(name))
        return folder

    def run(self, folder: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                f"import sys; sys.path.insert(0, {str(folder)!r})\nfrom shop import app, say\n{code}",
            ],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.home,
            env=self.environment | environment,
        )
        assert done.returncode == 0, done.stderr
        return done

    def command(self, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("taskflow")), *words]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, cwd=folder, env=self.environment
        )

    @property
    def servers(self) -> list[Path]:
        return sorted((self.home / "data" / "taskflow" / "projects").glob("*"))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    for directory in [*desk.servers, tmp_path / "data" / "taskflow" / "default"]:
        embedded.stop(EmbeddedConfig(directory))


def test_a_worker_runs_the_tasks_of_its_own_project_and_of_no_other(desk: Desk) -> None:
    """Each worker ran whatever any project on the machine had enqueued: all shared one server, and the queue `default`."""
    mine, other = desk.project("mine"), desk.project("other")
    desk.run(other, "say.options(id='other').delay('a word')")
    desk.run(mine, "say.options(id='mine').delay('a word')")

    done = desk.command(mine, "worker", "-A", "shop", "--burst")

    assert done.returncode == 0
    assert f"the development server of {mine}" in done.stderr

    assert "a word from mine" in desk.run(mine, "print(app.result('mine').get(25))").stdout
    assert desk.run(other, "print(app.result('other').status)").stdout == "PENDING\n"
    assert len(desk.servers) == 2
    assert [path.name.partition("-")[0] for path in desk.servers] == ["mine", "other"]


def test_commands_without_an_app_are_about_the_project_of_their_folder(desk: Desk) -> None:
    mine = desk.project("mine")
    desk.run(mine, "say.delay('a word')")

    shown = desk.command(mine / "jobs", "queue", "ls")
    assert "default" in shown.stdout, shown.stderr
    assert f"one server in {desk.servers[0]}" in desk.command(mine, "server", "status").stdout
    assert (
        f"one server in {desk.servers[0]}"
        in desk.command(desk.home, "server", "status", "-A", "mine.shop").stdout
    )
    assert desk.command(mine, "server", "stop").stdout == "1 stopped\n"
    elsewhere = desk.command(desk.home, "server", "status", "-b", "redis://127.0.0.1:1")
    assert "no embedded server" in " ".join(elsewhere.stderr.split())


def test_a_test_run_never_meets_the_development_server(desk: Desk) -> None:
    mine = desk.project("mine")
    desk.run(mine, "say.options(id='real').delay('a word')")

    told = desk.run(
        mine, "say.options(id='test').delay('x'); print(app.result('real').status)", PYTEST_VERSION="9"
    )

    assert told.stdout == "None\n"
    assert desk.run(mine, "print(app.result('test').status)").stdout == "None\n"
    assert [path.name.endswith("-test") for path in desk.servers] == [False, True]


def test_who_has_tasks_in_the_server_that_all_shared_is_told_once_where_it_is(desk: Desk) -> None:
    mine = desk.project("mine")
    desk.run(mine, "say.options(id='old').delay('a word')", TASKFLOW_BROKER="embedded://")

    first = desk.run(mine, "say.delay('a word')")
    second = desk.run(mine, "say.delay('a word')")

    assert f"shared, in {desk.home / 'data' / 'taskflow' / 'default'}" in first.stderr
    assert second.stderr == ""
    kept = desk.run(mine, "print(app.result('old').status)", TASKFLOW_BROKER="embedded://")
    assert kept.stdout == "PENDING\n"

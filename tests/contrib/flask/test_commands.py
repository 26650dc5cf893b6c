"""`flask taskflow …`: the commands with the application that Flask has found, and how the worker's is told of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.cli import FlaskGroup, ScriptInfo

from taskflow.cli.main import NOUNS
from taskflow.contrib.flask import FlaskTaskFlow
from tests.servers import Server

FACTORY = """
from flask import Flask
from taskflow import shared_task
from taskflow.contrib.flask import FlaskTaskFlow

@shared_task(queue="{queue}")
def add(a: int, b: int) -> int: ...

def create_app(name=__name__):
    app = Flask(name)
    app.config["TASKFLOW"] = {{"broker": "{broker}"}}
    FlaskTaskFlow().init_app(app)
    return app
"""


class Became(BaseException):
    """What would have become of the process."""


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[list[str], str]]:
    """Runs the command of Flask's; gives the words behind `taskflow` of the command that it becomes, and PYTHONPATH."""

    def execve(program: str, command: list[str], environment: dict[str, str]) -> None:
        raise Became(command, environment.get("PYTHONPATH", ""))

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    known = set(sys.modules)

    def run(*words: str, group: FlaskGroup | None = None) -> tuple[list[str], str]:
        with pytest.raises(Became) as caught:
            (group or FlaskGroup()).main(list(words), prog_name="flask", standalone_mode=False)
        for name in set(sys.modules) - known:
            if name in ("shop", "wsgi"):
                del sys.modules[name]
        command, path = caught.value.args
        assert command[:4] == [sys.executable, "-P", "-m", "taskflow"]
        return command[4:], path

    return run


@pytest.mark.parametrize(
    ("file", "words", "spec"),
    [
        ("shop.py", ["--app", "shop"], "shop"),
        ("shop.py", ["--app", "shop.py"], "shop"),
        ("shop.py", ["--app", "shop:create_app"], "shop:create_app"),
        ("shop/__init__.py", ["--app", "shop:create_app('x')"], "shop:create_app('x')"),
        ("wsgi.py", [], "wsgi"),
    ],
)
def test_the_worker_is_told_of_the_application_that_flask_has_found(
    project: Path, become: Callable[..., tuple[list[str], str]], file: str, words: list[str], spec: str
) -> None:
    (project / file).parent.mkdir(exist_ok=True)
    (project / file).write_text(FACTORY.format(queue="q", broker="redis://127.0.0.1:1"))

    command, path = become(*words, "taskflow", "-b", "redis://127.0.0.1:2", "worker", "-c", "2", "--help")

    assert command == ["-A", spec, "-b", "redis://127.0.0.1:2", "worker", "-c", "2", "--help"]
    assert path == ""


def test_the_worker_looks_where_flask_does(
    project: Path, become: Callable[..., tuple[list[str], str]]
) -> None:
    """`--app src/shop` puts src on the path; a child of the worker's would not find `shop` without."""
    (project / "src").mkdir()
    (project / "src" / "shop.py").write_text(FACTORY.format(queue="q", broker="redis://127.0.0.1:1"))

    command, path = become("--app", "src/shop", "taskflow", "worker")

    assert (command, path) == (["-A", "shop", "worker"], str(project / "src"))


def test_a_command_of_ones_own_names_its_factory_or_is_told_what_to_write(
    become: Callable[..., tuple[list[str], str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """`FlaskGroup(create_app=...)`, as in Flask's pages: children import the factory, so it needs a name."""
    command, _ = become("taskflow", "worker", group=FlaskGroup(create_app=make_it))
    assert command == ["-A", f"{__name__}:make_it", "worker"]

    with pytest.raises(SystemExit) as ended:
        FlaskGroup(create_app=lambda: make_it()).main(["taskflow", "worker"], prog_name="flask")
    assert ended.value.code == 2
    assert "taskflow worker -A module:create_app" in capsys.readouterr().err


def make_it() -> Flask:
    app = Flask("made", static_folder=None)
    FlaskTaskFlow(app, broker="redis://127.0.0.1:1")
    return app


def test_all_commands_are_there_and_use_the_application_as_it_is(valkey: Server, queue: str) -> None:
    """In a test of the user's, too (`app.test_cli_runner()`): no factory is called for another one, and nothing is imported."""
    app = Flask("shop")
    made = FlaskTaskFlow(queue=queue, broker=valkey.url).init_app(app)

    @made.task(name="add")
    def add(a: int, b: int) -> int: ...

    runner = app.test_cli_runner()
    said = runner.invoke(args=["taskflow", "--help"])
    assert said.exit_code == 0, said.output
    for name in NOUNS:
        assert f"  {name} " in said.output

    assert runner.invoke(args=["taskflow", "call", "add", "--args", "[1, 2]"]).exit_code == 0
    listed = runner.invoke(args=["taskflow", "queue", "inspect", queue, "--json"])
    assert '"pending": 1' in listed.output, listed.output
    shown = runner.invoke(
        args=["taskflow", "shell", "--plain", "-c", "import flask; print(flask.current_app.name, add.name)"]
    )
    assert shown.exit_code == 0
    made.close()


def test_what_is_wrong_is_said_in_one_line(valkey: Server) -> None:
    app = Flask("shop")
    FlaskTaskFlow(broker=valkey.url).init_app(app)

    said = app.test_cli_runner().invoke(args=["taskflow", "queue", "inspect", "nothing"])
    other = app.test_cli_runner().invoke(args=["taskflow", "-A", "nothing_here", "stats"])

    assert (said.exit_code, "Traceback" in said.output) == (2, False)
    assert (other.exit_code, "no module 'nothing_here'" in other.output) == (2, True)


def test_an_application_without_one_has_no_such_command() -> None:
    said = Flask("bare").test_cli_runner().invoke(args=["taskflow", "--help"])

    assert "No such command" in said.output
    assert ScriptInfo(create_app=lambda: Flask("bare")).load_app().name == "bare"

"""The command itself: where its broker comes from, how it fails, and what it loads."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from taskflow import __version__
from taskflow.cli import main as main_module
from taskflow.cli.main import main
from taskflow.cli.options import Target
from taskflow.project import project_of
from tests.inspector.stored import Stored
from tests.servers import Server, free_port

TASKFLOW = str(Path(sys.executable).with_name("taskflow"))


def taskflow(*words: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """The installed command, in its own process, without a broker unless one is given."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("TASKFLOW_")} | environment
    return subprocess.run([TASKFLOW, *words], capture_output=True, text=True, timeout=60, env=env, cwd=cwd)


def write_app(folder: Path, broker: str) -> None:
    (folder / "shop.py").write_text(
        textwrap.dedent(f"""
            from taskflow import TaskFlow
            app = TaskFlow("shop", broker={broker!r})
        """)
    )


def test_the_installed_command_lists_queues(valkey: Server, stored: Stored) -> None:
    done = taskflow("queue", "ls", TASKFLOW_BROKER=valkey.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert stored.queue in done.stdout
    assert "\x1b" not in done.stdout


def test_version(cli: Callable[..., Result]) -> None:
    assert cli("--version").output == f"taskflow {__version__}\n"


def test_help_lists_the_commands_without_loading_them() -> None:
    code = """
        import sys
        from click.testing import CliRunner
        from taskflow.cli.main import main
        print(CliRunner().invoke(main, ["--help"]).output)
        loaded = [name for name in sys.modules if name.startswith(("taskflow.inspector", "taskflow.cli."))]
        print(sorted(loaded))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60
    )
    assert "queue   List, inspect" in done.stdout
    assert (
        done.stdout.splitlines()[-1] == "['taskflow.cli.main', 'taskflow.cli.options', 'taskflow.cli.output']"
    )


def test_a_worker_does_not_wait_for_the_inspector() -> None:
    code = """
        import sys
        from click.testing import CliRunner
        from taskflow.cli.main import main
        assert CliRunner().invoke(main, ["worker", "--help"]).exit_code == 0
        print("taskflow.cli.worker" in sys.modules, "taskflow.inspector" in sys.modules)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "True False\n"


@pytest.mark.parametrize(
    "words",
    [
        ("-b", "URL", "queue", "ls"),
        ("queue", "-b", "URL", "ls"),
        ("queue", "ls", "-b", "URL"),
        ("queue", "ls", "--broker", "URL"),
        ("-b", "redis://127.0.0.1:1", "queue", "ls", "-b", "URL"),
        ("--broker=URL", "stats"),
        ("server", "ls", "-b", "URL"),
        ("-b", "URL", "server", "ls"),
    ],
)
def test_the_broker_may_stand_before_and_after_the_command(valkey: Server, words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [word.replace("URL", valkey.url) for word in words])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("words", [("-A", "shop", "queue", "ls"), ("queue", "ls", "-A", "shop:app")])
def test_the_apps_broker_is_used(
    valkey: Server, stored: Stored, tmp_path: Path, words: tuple[str, ...]
) -> None:
    write_app(tmp_path, valkey.url)
    done = taskflow(*words, cwd=tmp_path, TASKFLOW_BROKER="redis://127.0.0.1:1")
    assert (done.returncode, done.stderr) == (0, "")
    assert stored.queue in done.stdout


def test_which_broker_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKFLOW_BROKER", "redis://env")
    assert Target(None, None).broker_url == "redis://env"
    assert Target("no_such_module", "redis://given").broker_url == "redis://given"
    monkeypatch.delenv("TASKFLOW_BROKER")
    assert Target(None, None).broker_url == project_of(None).url
    assert "pw" not in repr(Target(None, "redis://:pw@host"))


def test_an_unreachable_broker_is_one_line_and_soon() -> None:
    port = free_port()
    started = time.monotonic()
    done = taskflow("queue", "ls", "-b", f"redis://:secret@127.0.0.1:{port}")
    # The limit of the command is 4 s; a busy machine may take its time to start Python.
    assert time.monotonic() - started < 30
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("queue", "ls", "-b", "http://x"), "the schemes are redis://"),
        (("queue", "ls", "-A", "no_such_module"), "no module 'no_such_module'"),
        (("queue", "resume", "no-such-queue"), "queue 'no-such-queue' does not exist; `taskflow queue ls`"),
        (("queue", "pause", "a{b}"), "holds a brace"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(valkey: Server, words: tuple[str, ...], text: str) -> None:
    done = taskflow(*words, TASKFLOW_BROKER=valkey.url)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert text in done.stderr
    assert done.stderr.count("\n") == 1


def test_debug_shows_where_an_error_comes_from(valkey: Server) -> None:
    done = taskflow("queue", "resume", "no-such-queue", TASKFLOW_BROKER=valkey.url, TASKFLOW_DEBUG="1")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_a_wrong_password_is_explained(valkey: Server, raw: object) -> None:
    done = taskflow("queue", "ls", "-b", f"redis://nobody:hunter2@127.0.0.1:{valkey.port}")
    assert done.returncode == 2
    assert "refused" in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize(
    "words", [("no-such-command",), ("queue", "no-such-command"), ("queue", "pause"), ("--nonsense",)]
)
def test_a_usage_error_is_exit_code_2(cli: Callable[..., Result], words: tuple[str, ...]) -> None:
    result = cli(*words)
    assert result.exit_code == 2
    assert "Usage: " in result.output


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt, 130), (ZeroDivisionError, 1), (PermissionError, 2)]
)
def test_whatever_goes_wrong_is_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException], code: int
) -> None:
    @click.command("queue")
    def failing() -> None:
        raise error("somebody's payload")

    monkeypatch.setattr(main_module.LazyGroup, "get_command", lambda self, context, name: failing)
    result = CliRunner().invoke(main, ["queue"])
    assert result.exit_code == code
    assert "Traceback" not in result.output
    assert error is PermissionError or "payload" not in result.output


def test_a_missing_module_breaks_no_other_command(monkeypatch: pytest.MonkeyPatch, valkey: Server) -> None:
    monkeypatch.setattr(main_module, "NOUNS", {**main_module.NOUNS, "gone": "Not there."})
    assert "gone" not in CliRunner().invoke(main, ["--help"]).output
    assert CliRunner().invoke(main, ["gone"]).exit_code == 2
    assert CliRunner().invoke(main, ["queue", "ls", "-b", valkey.url]).exit_code == 0


def test_a_closed_pipe_is_no_error(valkey: Server, stored: Stored) -> None:
    env = os.environ | {"TASKFLOW_BROKER": valkey.url}
    done = subprocess.run(
        f"{TASKFLOW} queue ls | true", shell=True, capture_output=True, text=True, timeout=60, env=env
    )
    assert "Traceback" not in done.stderr

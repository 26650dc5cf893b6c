"""`taskflow shell`: Python with what one wants at hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from taskflow import TaskFlow
from taskflow.cli.shell import at_hand
from tests.servers import Server

SHOP = """
from taskflow import TaskFlow
app = TaskFlow("shop")

@app.task(queue="images")
def resize(src: str) -> str: ...
"""


def shell(tmp_path: Path, valkey: Server, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    (tmp_path / "shop.py").write_text(SHOP)
    env = {
        **os.environ,
        "TASKFLOW_BROKER": valkey.url,
        "TASKFLOW_APP": "shop",
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    command = [str(Path(sys.executable).with_name("taskflow")), "shell", *words]
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=60, env=env, cwd=tmp_path
    )


@pytest.mark.parametrize("words", [["--plain"], []], ids=["python", "ipython"])
def test_the_app_its_tasks_and_the_inspector_are_at_hand(
    tmp_path: Path, valkey: Server, words: list[str]
) -> None:
    code = "print('queue', resize.queue, app.name, inspector.queue_names() is not None, State.RETRY)\n"

    done = shell(tmp_path, valkey, *words, stdin=code)

    assert "queue images shop True retry" in done.stdout, done.stderr
    assert "tasks: resize" in done.stdout + done.stderr


def test_one_command_is_run_alone(tmp_path: Path, valkey: Server) -> None:
    done = shell(tmp_path, valkey, "-c", "print(len(tasks), errors.TaskFailed.__name__)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 TaskFailed\n", "")


def test_a_name_that_two_tasks_share_or_that_is_ours_means_no_task() -> None:
    """Guessing would call the wrong one."""
    app = TaskFlow("shop", broker="redis://127.0.0.1:1")

    def declare(name: str, function_name: str) -> None:
        def function() -> None: ...

        function.__name__ = function_name
        app.task(name=name)(function)

    for name, function_name in [
        ("a.send", "send"),
        ("b.send", "send"),
        ("c.app", "app"),
        ("d", "fetch"),
        ("e", "<lambda>"),
    ]:
        declare(name, function_name)

    found = at_hand(app)
    assert found["app"] is app
    assert found["fetch"] is app.tasks["d"]
    assert "send" not in found
    assert "<lambda>" not in found

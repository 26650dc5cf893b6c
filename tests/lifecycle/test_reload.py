"""`taskflow worker --reload`: new code runs as soon as it is saved."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from taskflow import TaskFlow
from taskflow.cli import worker as worker_module
from taskflow.cli.main import main
from tests.servers import Server, wait_until
from tests.workers import READY, WorkerProcess

SHOP = """
import time
from taskflow import TaskFlow

app = TaskFlow("shop", retention=60)

@app.task(name="answer", queue={queue!r})
def answer(seconds: float = 0) -> str:
    time.sleep(seconds)
    return {answer!r}
"""


class Editor:
    """Somebody who works on a project."""

    def __init__(self, folder: Path, queue: str) -> None:
        self.folder = folder
        self._queue = queue

    def save(self, answer: str) -> None:
        self.write(SHOP.format(queue=self._queue, answer=answer))

    def write(self, text: str) -> None:
        (self.folder / "shop.py").write_text(text)


@pytest.fixture
def editor(tmp_path: Path, queue: str) -> Editor:
    editor = Editor(tmp_path, queue)
    editor.save("first")
    return editor


@pytest.fixture
def answer(valkey: Server, queue: str) -> Iterator[Any]:
    app = TaskFlow("client", broker=valkey.url, queue=queue, retention=60)
    yield lambda seconds=0.0: app.send("answer", seconds=seconds)
    app.close()


@pytest.fixture
def start(valkey: Server, editor: Editor) -> Callable[..., WorkerProcess]:
    def start(**options: Any) -> WorkerProcess:
        return WorkerProcess("shop", directory=editor.folder, broker=valkey.url, concurrency=1, **options)

    return start


def test_what_was_saved_runs_and_what_runs_is_finished_by_the_old_code(
    editor: Editor, answer: Any, start: Callable[..., WorkerProcess]
) -> None:
    with start(reload=True) as process:
        process.wait_for_log("Watching the code")
        slow = answer(1.0)
        process.wait_for_log("received")
        editor.save("second")
        process.wait_for_log("Code has changed: shop.py")
        process.wait_for_log("Restarting the child processes")
        wait_until(lambda: answer().get(25) == "second", description="the new code runs")
        assert slow.get(25) == "first"


def test_code_with_a_mistake_is_said_with_its_line_and_the_old_goes_on(
    editor: Editor, answer: Any, start: Callable[..., WorkerProcess]
) -> None:
    """A worker that ends, or stands still, at each half-written line is of no use at the desk."""
    with start(reload=True) as process:
        process.wait_for_log("Watching the code")
        editor.write("def broken(:\n")
        process.wait_for_log(lambda line: "A new child could not start" in line and "SyntaxError" in line)
        assert answer().get(25) == "first"
        editor.write("app = undefined_name\n")
        process.wait_for_log(lambda line: line.strip() == "app = undefined_name")
        process.wait_for_log(lambda line: "A new child could not start" in line and "NameError" in line)
        assert answer().get(25) == "first"
        editor.save("mended")
        wait_until(lambda: answer().get(25) == "mended", description="the mended code runs")


def test_a_worker_that_cannot_start_waits_for_a_change(
    editor: Editor, answer: Any, start: Callable[..., WorkerProcess]
) -> None:
    editor.write("app = undefined_name\n")
    with start(reload=True, ready=False) as process:
        process.wait_for_log(lambda line: "NameError" in line)
        process.wait_for_log("Waiting for a change of the code")
        editor.save("mended")
        process.wait_for_log(READY)
        assert answer().get(25) == "mended"
        assert process.terminate() == 0


def test_a_worker_that_waits_for_a_change_can_be_ended(
    editor: Editor, start: Callable[..., WorkerProcess]
) -> None:
    editor.write("def broken(:\n")
    with start(reload=True, ready=False) as process:
        process.wait_for_log("Waiting for a change of the code")
        process.signal(signal.SIGINT)
        assert process.wait(25) == 130


def test_only_python_files_in_the_folders_that_are_named_count(
    editor: Editor, answer: Any, start: Callable[..., WorkerProcess], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """An editor's own files, bytecode and logs would replace the children all the time."""
    other = tmp_path_factory.mktemp("other")
    with start(reload_dir=other) as process:
        process.wait_for_log(f"Watching the code in {other}")
        editor.save("elsewhere")
        (other / "notes.txt").write_text("x")
        (other / ".venv").mkdir()
        (other / ".venv" / "library.py").write_text("x = 1")
        (other / "code.py").write_text("x = 1")
        assert process.wait_for_log("Code has changed").endswith(f"Code has changed: {other / 'code.py'}")
        wait_until(lambda: answer().get(25) == "elsewhere", description="all code is read anew")


def test_what_cannot_be_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def said(*words: str) -> str:
        result = CliRunner().invoke(main, ["worker", "-A", "shop", *words])
        assert result.exit_code == 2
        return " ".join(result.output.split())

    assert "with -P solo there are none" in said("--reload", "-P", "solo")
    assert "does not exist" in said("--reload-dir", "/no/such/folder")
    monkeypatch.setattr(worker_module, "find_spec", lambda name: None)
    assert "pip install 'taskflow-queue[reload]'" in said("--reload")

"""`breakpoint()` in `taskflow worker -P solo`, at a real terminal: nobody is thrown out of the debugger."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from taskflow import TaskFlow
from taskflow.errors import TaskFailed
from taskflow.worker import solo
from tests.servers import Server, free_port
from tests.workers import WorkerProcess

SHOP = """
from taskflow import TaskFlow
app = TaskFlow("shop", retention=60)

@app.task(name="look", queue={queue!r})
def look(n: int) -> int:
    answer = n + 1
    breakpoint()
    return answer

@app.task(name="alook", queue={queue!r})
async def alook(n: int) -> int:
    answer = n + 1
    breakpoint()
    return answer

@app.task(name="wait", queue={queue!r})
def wait() -> None:
    import time
    for _ in range(100):
        time.sleep(0.05)
"""


LIMITS: Any = {"max_retries": 0, "timeout": 1, "hard_timeout": 1.5}
"""Options of a call: they travel with it, so who sends by name says them."""


class Terminal:
    """A command at a pseudo-terminal."""

    def __init__(self, *command: str, directory: Path, environment: dict[str, str]) -> None:
        self._command = command
        self._directory = directory
        self._environment = environment
        self.shown = ""

    def __enter__(self) -> Self:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            self._command,
            cwd=self._directory,
            env=os.environ | self._environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(25)
        os.close(self._ours)

    def wait_for(self, text: str, seconds: float = 20) -> None:
        """Wait until it is shown."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} is not shown:\n{self.shown}"
            if select.select([self._ours], [], [], left)[0]:
                self.shown += os.read(self._ours, 65536).decode(errors="replace")

    def type(self, line: str) -> None:
        """Type a line, and Return."""
        os.write(self._ours, f"{line}\n".encode())


@pytest.fixture
def shop(tmp_path: Path, queue: str) -> Path:
    (tmp_path / "shop.py").write_text(SHOP.format(queue=queue))
    return tmp_path


@pytest.fixture
def client(valkey: Server, queue: str) -> Iterator[TaskFlow]:
    app = TaskFlow("client", broker=valkey.url, queue=queue, retention=60)
    yield app
    app.close()


def at_a_terminal(shop: Path, valkey: Server, *words: str) -> Terminal:
    taskflow = str(Path(sys.executable).with_name("taskflow"))
    environment = {"TASKFLOW_BROKER": valkey.url, "PYTHONBREAKPOINT": ""}
    command = (taskflow, "worker", "-A", "shop", "-P", "solo", *words)
    return Terminal(*command, directory=shop, environment=environment)


@pytest.mark.parametrize("name", ["look", "alook"])
def test_whoever_looks_at_a_task_has_all_the_time_of_the_world(
    shop: Path, client: TaskFlow, valkey: Server, name: str
) -> None:
    """Its time limit ended the task at the first command after it had passed, and the worker's health turned red."""
    port = str(free_port())
    with at_a_terminal(shop, valkey, "--health-port", port) as terminal:
        terminal.wait_for("No time limit holds")
        handle = client.send_task(name, kwargs={"n": 41}, **LIMITS)
        terminal.wait_for("(Pdb)")
        time.sleep(2.5)  # over both limits
        health = subprocess.run(
            [
                sys.executable,
                "-c",
                f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{port}/healthz').status)",
            ],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert health.stdout == "200\n", health.stderr
        terminal.type("p answer + 1000")
        terminal.wait_for("1042")
        terminal.type("c")
        assert handle.get(20) == 42
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.process.wait(20) == 0


def test_ctrl_c_at_the_prompt_ends_the_worker_when_the_task_has_ended(
    shop: Path, client: TaskFlow, valkey: Server
) -> None:
    with at_a_terminal(shop, valkey) as terminal:
        handle = client.send_task("look", kwargs={"n": 41}, **LIMITS)
        terminal.wait_for("(Pdb)")
        # Python runs its handler between two steps: a signal that comes just before the prompt reads is heard with the next key.
        terminal.process.send_signal(signal.SIGINT)
        terminal.type("n == 41")
        terminal.wait_for("Stopping")
        terminal.type("c")
        assert terminal.process.wait(20) == 0
    assert handle.get(25) == 42


def test_without_a_terminal_limits_hold(shop: Path, client: TaskFlow, valkey: Server) -> None:
    """Nobody can type anything there, and a task that hangs would hold the worker for ever."""
    with WorkerProcess("shop", directory=shop, broker=valkey.url, pool="solo") as worker:
        with pytest.raises(TaskFailed, match="time limit of 1 s exceeded"):
            client.send_task("wait", **LIMITS).get(20)
        assert not [line for line in worker.log if "No time limit holds" in line]


@pytest.mark.parametrize(("hook", "expected"), [("", False), ("0", False), ("web_pdb.set_trace", True)])
def test_a_debugger_that_needs_no_terminal_is_known(
    monkeypatch: pytest.MonkeyPatch, hook: str, expected: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setenv("PYTHONBREAKPOINT", hook)
    assert solo.is_for_a_debugger() is expected
    fake: Any = object()
    monkeypatch.setitem(sys.modules, "debugpy", fake)
    assert solo.is_for_a_debugger()

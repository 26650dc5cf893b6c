"""`taskflow worker --check` and `/healthz` of a real worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.lifecycle import app as lifecycle
from tests.lifecycle.held import HELD
from tests.servers import Server, free_port, start_server, wait_until
from tests.workers import ROOT, WorkerProcess


def _check(*arguments: str, folder: Path = ROOT) -> tuple[int, str]:
    command = [sys.executable, "-m", "taskflow", "worker", *(arguments or ("-A", "tests.lifecycle.app"))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--check"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def _healthz(port: int) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return int(answer.status), json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return int(error.code), json.load(error)


def _let_pass(seconds: float) -> None:
    """As if the worker, which stands still, had written its file so much earlier."""
    (file,) = (Path(os.environ["XDG_RUNTIME_DIR"]) / "taskflow").glob("worker-*")
    said = json.loads(file.read_text())
    file.write_text(json.dumps({**said, "at": said["at"] - seconds}))


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No worker of another test is found."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path / "runtime"


@pytest.mark.timeout(180)
def test_is_green_while_it_works_and_while_only_the_server_is_away_and_red_when_it_stands_still(
    tmp_path: Path, ledger: Any
) -> None:
    port = free_port()
    server = start_server(tmp_path)
    try:
        with WorkerProcess(
            "tests.lifecycle.app", broker=server.url, queues={"q": 1}, health_port=port
        ) as worker:
            wait_until(lambda: _check()[0] == 0, description="the check is green")
            assert f"worker {worker.pid}: ok" in _check()[1]
            status, state = _healthz(port)
            assert status == 200
            assert state["children"] == {"alive": 1, "wanted": 1}
            for arguments in (
                ["-A", "tests.lifecycle.app:app", "-b", server.url],
                ["-A", "lifecycle"],
                ["-b", server.url],
            ):
                assert _check(*arguments, folder=tmp_path)[0] == 0, "from another folder, by another spelling"
            assert _check("-A", "tests.lifecycle.app", "-b", "redis://127.0.0.1:1")[0] == 1
            server.stop()
            worker.wait_for_log("no answer from the broker", 60)
            assert _healthz(port)[0] == 200
            assert _check()[0] == 0
            again = start_server(tmp_path, port=server.port)
            try:
                os.kill(worker.pid, signal.SIGSTOP)
                _let_pass(30.0)
                wait_until(lambda: "event loop has stood still" in _check()[1], description="red")
                os.kill(worker.pid, signal.SIGCONT)
                wait_until(lambda: _check()[0] == 0, description="green again")
            finally:
                os.kill(worker.pid, signal.SIGCONT)
                worker.terminate()
                again.stop()
        code, text = _check()
        assert code == 1
        assert "no worker of tests.lifecycle.app" in text
    finally:
        server.stop()


Use = Callable[[str], None]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Iterator[Use]:
    """Has this process's tasks sent to a broker."""

    def to(broker: str) -> None:
        monkeypatch.setenv("TASKFLOW_BROKER", broker)
        lifecycle.app._client = None

    yield to
    lifecycle.app.close()
    lifecycle.app._client = None


@pytest.fixture
def with_a_password(own_server: Server, tmp_path: Path) -> Iterator[redis.Redis]:
    """The operator of a server whose user `shop` has a password."""
    with redis.Redis(host="127.0.0.1", port=own_server.port) as operator:
        operator.execute_command("ACL", "SETUSER", "shop", "on", ">old", "~*", "&*", "+@all")
        yield operator


def test_a_finished_task_is_written_down_when_the_server_lets_the_worker_in_again(
    own_server: Server, with_a_password: redis.Redis, ledger: Any, use: Use
) -> None:
    """The database might not be selected for some seconds while a task ended. That was no error the writer of verdicts knew: it
    ended, with the verdict. The task stayed active, its lease was renewed for ever, health was green, and even a clean stop
    did not hand it back.
    """
    operator = with_a_password
    port = free_port()
    broker = f"redis://shop:old@127.0.0.1:{own_server.port}/1"
    use(broker)
    with WorkerProcess("tests.lifecycle.app", broker=broker, queues={"q": 1}, health_port=port) as worker:
        lifecycle.work.options(queue="q", id="a").delay("a", HELD)
        ledger.wait_for("start", "a")
        operator.execute_command("ACL", "SETUSER", "shop", "-select")
        operator.execute_command("CLIENT", "KILL", "USER", "shop")
        ledger.release("a")
        ledger.wait_for("end", "a")
        wait_until(lambda: _healthz(port)[0] == 503, description="red", timeout=40)
        wait_until(
            lambda: "verdicts on tasks of queue q" in str(_healthz(port)[1]["why"]),
            description="and says why",
            timeout=60,
        )
        assert _check()[0] == 1
        operator.execute_command("ACL", "SETUSER", "shop", "+select")
        wait_until(
            lambda: _state(own_server, "a") == b"completed", description="the verdict is written", timeout=60
        )
        wait_until(lambda: _healthz(port)[0] == 200, description="green again", timeout=40)
        assert worker.terminate() == 0
    assert ledger.count("start", "a") == 1


def test_a_rotated_password_is_red_and_said_until_it_is_back(
    own_server: Server, with_a_password: redis.Redis, ledger: Any, use: Use
) -> None:
    """It was taken for a broker that is away: one line in the log, health green, and nothing ran any more."""
    operator = with_a_password
    port = free_port()
    broker = f"redis://shop:old@127.0.0.1:{own_server.port}"
    use(broker)
    with WorkerProcess("tests.lifecycle.app", broker=broker, queues={"q": 1}, health_port=port) as worker:
        operator.execute_command("ACL", "SETUSER", "shop", "resetpass", ">new")
        operator.execute_command("CLIENT", "KILL", "USER", "shop")
        wait_until(lambda: _healthz(port)[0] == 503, description="red", timeout=40)
        _, state = _healthz(port)
        assert any("WRONGPASS" in line or "login" in line for line in state["why"]), state
        assert "old" not in str(state["why"])
        worker.wait_for_log("login")
        operator.execute_command("ACL", "SETUSER", "shop", ">old")
        lifecycle.work.options(queue="q").delay("a")
        ledger.wait_for("end", "a", timeout=40)
        wait_until(lambda: _healthz(port)[0] == 200, description="green again", timeout=40)
        worker.wait_for_log("it is over after")


def test_a_worker_whose_health_file_cannot_be_written_says_so_and_works(
    valkey: Server, queue: str, tasks: Any, ledger: Any, runtime: Path, tmp_path: Path
) -> None:
    """In a container where everything is read-only it ended with 2 before it had begun."""
    runtime.mkdir()
    (runtime / "taskflow").touch()
    (tmp_path / f"taskflow-{os.geteuid()}").touch()
    with WorkerProcess("tests.lifecycle.app", broker=valkey.url_as("worker"), queues={queue: 1}) as worker:
        worker.wait_for_log("--check does not find this worker")
        tasks.work.delay("a")
        ledger.wait_for("end", "a")
        assert sum("--check does not find" in line for line in worker.log) == 1


def _state(server: Server, task_id: str) -> bytes | None:
    with redis.Redis(host="127.0.0.1", port=server.port, db=1) as client:
        value: bytes | None = client.hget(f"asynq:{{q}}:t:{task_id}", "state")
        return value

"""`taskflow worker --check` and `/healthz` of a real worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.servers import free_port, start_server, wait_until
from tests.workers import ROOT, WorkerProcess


def _check() -> tuple[int, str]:
    command = [sys.executable, "-m", "taskflow", "worker", "-A", "tests.lifecycle.app", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def _healthz(port: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return int(error.code)


@pytest.mark.timeout(180)
def test_is_green_while_it_works_and_while_only_the_server_is_away_and_red_when_it_stands_still(
    tmp_path: Path, ledger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    port = free_port()
    server = start_server(tmp_path)
    try:
        with WorkerProcess(
            "tests.lifecycle.app", broker=server.url, queues={"q": 1}, health_port=port
        ) as worker:
            wait_until(lambda: _check()[0] == 0, description="the check is green")
            assert f"worker {worker.pid}: ok" in _check()[1]
            assert _healthz(port) == 200
            server.stop()
            worker.wait_for_log("no answer from the broker", 60)
            assert _healthz(port) == 200
            assert _check()[0] == 0
            again = start_server(tmp_path, port=server.port)
            try:
                os.kill(worker.pid, signal.SIGSTOP)
                wait_until(lambda: "event loop has stood still" in _check()[1], description="red", timeout=40)
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

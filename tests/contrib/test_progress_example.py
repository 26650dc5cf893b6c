"""examples/progress: the task is followed while it runs, and looked at when it has ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.contrib.test_examples import copy_of
from tests.contrib.web import STRICT
from tests.servers import Server
from tests.workers import WorkerProcess


def test_the_example_follows_its_task(valkey: Server, tmp_path: Path) -> None:
    directory = copy_of("progress", tmp_path)
    environment = {"TASKFLOW_BROKER": valkey.url}
    with WorkerProcess("tasks", directory=directory, environment=STRICT | environment, concurrency=2):
        shown = subprocess.run(
            [sys.executable, "watch.py"],
            cwd=directory,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
    lines = shown.stdout.splitlines()

    assert shown.stderr == ""
    assert lines[0].startswith("taskflow task watch ")
    assert lines[-6:] == [
        "100 of 100, 4 refused",
        "completed 96",
        "StateChanged",
        "LogLines",
        "Progress",
        "Verdict",
    ]
    assert "  WARNING row 25 has no price" in lines
    assert "  SAID 96 of 100 rows are imported" in lines
    assert sum(" of 100, " in line for line in lines) > 3  # it was told while it ran

"""examples/pools: one worker with a thread, a coroutine and processes, and a soft limit inside a blocking call."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.contrib.test_examples import copy_of
from tests.contrib.web import STRICT
from tests.servers import Server
from tests.workers import WorkerProcess


def test_the_example_says_where_each_task_has_run(valkey: Server, tmp_path: Path) -> None:
    """Word for word what its README shows, and the log says that children were replaced."""
    directory = copy_of("pools", tmp_path)
    environment = {"TASKFLOW_BROKER": valkey.url}
    promised = (directory / "README.md").read_text().split("python ask.py\n\n")[1].split("\n\n")[0]
    with WorkerProcess(
        "tasks",
        directory=directory,
        environment=STRICT | environment,
        concurrency=4,
        beside=2,
        max_tasks_per_child=2,
    ) as worker:
        shown = subprocess.run(
            [sys.executable, "ask.py"],
            cwd=directory,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert shown.stderr == ""
        assert shown.stdout.splitlines() == [line.strip() for line in promised.splitlines()]
        worker.wait_for_log(lambda line: "it was given 2 tasks" in line)

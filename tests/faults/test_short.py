"""What the everyday suite runs under faults: some tests of each kind, with many faults. `tox -e faults` runs them all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.policy import VARIABLE

ROOT = Path(__file__).parents[2]
TESTS = (
    "tests/lifecycle/test_running.py::test_a_burst_runs_functions_and_coroutines_once_and_ends",
    "tests/lifecycle/test_running.py::test_a_failure_is_retried_by_the_tasks_policy",
    "tests/lifecycle/test_running.py::test_a_group_is_joined_into_one_task",
    "tests/lifecycle/test_stopping.py::test_terms_the_worker_while_tasks_run",
    "tests/lifecycle/test_deaths.py::test_kills_a_child_while_its_tasks_run",
    "tests/inspector/test_tasks.py",
    "tests/commands/test_result.py::TestGet",
)


@pytest.mark.timeout(400)
def test_the_suite_passes_while_one_command_in_twenty_fails() -> None:
    """In a process of its own: the faults are put around the drivers of a whole process, and stay there."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.faults.plugin", "-p", "no:cacheprovider"]
    options = [
        "--fault-rate=0.05",
        "--fault-seed=20261124",
        "--fault-strict",
        "-n",
        "2",
        "--dist",
        "loadgroup",
    ]
    run = subprocess.run(
        [*command, *options, *TESTS],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    print(run.stdout)
    assert run.returncode == 0, run.stdout[-10_000:] + run.stderr
    counts = {line.split()[0]: line.split()[1:] for line in run.stdout.splitlines() if line[:1].isalpha()}
    for script in ("enqueue", "dequeue", "finish", "run_all", "archive_tasks"):
        _, before, after = counts[script]
        assert int(before) >= 1, script
        assert int(after) >= 1, script

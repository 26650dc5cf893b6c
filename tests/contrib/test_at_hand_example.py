"""examples/at_hand: everything that one wants to know of tasks is read from the command line alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
from click.testing import CliRunner, Result

from taskflow.cli.main import main
from tests.contrib.test_examples import copy_of
from tests.contrib.web import STRICT
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess

Shown = Callable[..., str]


def commands(broker: str) -> tuple[Shown, Callable[..., Any]]:
    """Runs `taskflow ...` in this process; what it printed, or with `--json` the value."""

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, (*words, "-b", broker))

    def shown(*words: str) -> str:
        result = run(*words)
        assert result.exit_code == 0, result.output
        return result.stdout

    def value(*words: str) -> Any:
        return json.loads(run(*words, "--json").stdout)

    return shown, value


def test_everything_that_one_wants_to_know_is_on_the_screen(
    valkey: Server, raw: redis.Redis, tmp_path: Path
) -> None:
    """As somebody who is new reads it: what failed and why, what runs and how far it is, what waits and for what."""
    raw.flushall()  # commands for all queues find those of other tests, too
    directory = copy_of("at_hand", tmp_path)
    environment = {"TASKFLOW_BROKER": valkey.url}
    shown, value = commands(valkey.url)

    def is_in(task: str, state: str) -> Callable[[], bool]:
        return lambda: bool(value("task", "inspect", task)["state"] == state)

    with WorkerProcess("tasks", directory=directory, environment=STRICT | environment, concurrency=8):
        placed = subprocess.run(
            [sys.executable, "place.py"],
            cwd=directory,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert len(placed.stdout.splitlines()) == 11

        watched = shown("task", "watch", "import-1")
        assert "row 75 has no price" in watched
        assert watched.splitlines()[-1] == "It has succeeded"

        wait_until(is_in("running", "active"), description="the report runs")
        assert "tasks.report" in shown("task", "ls", "-s", "active", "-q", "reports")
        cancelled = shown("task", "cancel", "running", "waiting")
        assert "'running' runs" in cancelled
        assert "'waiting' is cancelled" in cancelled
        for task in ("running", "waiting", "charge-1", "charge-2", "ping-1"):
            wait_until(is_in(task, "archived"), description=f"{task} is archived")
        for task in ("ship-1", "fetch-1", "book-1"):
            wait_until(is_in(task, "completed"), description=f"{task} is completed")

        archived = shown("task", "ls", "-s", "archived", "--all-queues")
        for said in ("card 13 declined", "no route to warehouse", "TaskCancelled: cancelled"):
            assert said in archived
        failed = shown("task", "inspect", "charge-1")
        assert "PaymentError: card 13 declined" in failed
        assert ", in charge" in failed
        shipped = shown("task", "inspect", "ship-1", "--payload")
        assert '"order 1 is on its way"' in shipped
        assert shipped.count("ConnectionError: the carrier is away") > 2
        assert "took " in shipped  # what the middleware said
        assert "1 row is written" in shown("task", "inspect", "book-1")
        assert "TimeoutError: no answer" in shown("task", "inspect", "fetch-1")
        assert "Snoozes:" in shown("task", "inspect", "invoice-1")
        assert "email:deliver" in shown("task", "ls", "-s", "pending", "-q", "mail")

        of_cancels = ("--all-queues", "-s", "archived", "--error", "TaskCancelled", "--name", "tasks.*")
        assert "2 tasks are deleted" in shown("task", "delete", *of_cancels, "--yes")
        assert "2 tasks are pending" in shown(
            "task", "run", "-q", "orders", "-s", "archived", "--error", "PaymentError", "--yes"
        )
        for task in ("charge-1", "charge-2"):
            wait_until(is_in(task, "archived"), description=f"{task} has failed again")
        # Run by hand a task has one attempt more, and its history.
        assert len(value("task", "inspect", "charge-1")["attempts"]) == 3

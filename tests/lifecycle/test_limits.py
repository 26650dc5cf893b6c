"""Time limits hold, whatever the task is doing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from taskflow import errors
from tests.lifecycle.conftest import Ledger
from tests.lifecycle.held import HELD


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("loop", "time limit of 1 s exceeded"),
        ("c-sleep", "hard time limit"),
        ("read", "hard time limit"),
        ("swallow", "hard time limit"),
    ],
)
def test_ends_a_task_that_does_not_end(tasks: Any, worker: Any, ledger: Ledger, kind: str, text: str) -> None:
    """A Python loop feels the soft limit; a C call that holds the GIL, a blocked read and a task that swallows
    the exception lose their process at the hard one. Either way the slot is back in service."""
    with worker(concurrency=1):
        result = tasks.stuck.delay(kind)
        ledger.wait_for("start", kind)
        with pytest.raises(errors.TaskFailed, match=text):
            result.get(25)
        assert tasks.work.delay("next").get(25) == "next"
    assert ledger.count("start", kind) == 1


def test_ends_a_coroutine_at_its_soft_limit(tasks: Any, worker: Any) -> None:
    with worker(concurrency=1):
        result = tasks.async_stuck.delay()
        with pytest.raises(errors.TaskFailed, match="time limit of 1 s exceeded"):
            result.get(25)


@pytest.mark.parametrize("name", ["stuck", "async_stuck"])
def test_a_task_that_meets_its_deadline_says_so(tasks: Any, worker: Any, name: str) -> None:
    """It said "time limit of 2.675 s exceeded", a number that nobody had written anywhere."""
    with worker(concurrency=1):
        deadline = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
        task = getattr(tasks, name).options(deadline=deadline, timeout=30, hard_timeout=40, max_retries=0)
        result = task.delay("loop") if name == "stuck" else task.delay()
        with pytest.raises(errors.TaskFailed, match=f"the deadline {deadline:%Y-%m-%d %H:%M:%S} UTC passed"):
            result.get(20)


def test_neighbours_of_a_task_over_its_hard_limit_get_their_grace(
    tasks: Any, worker: Any, ledger: Ledger
) -> None:
    with worker(concurrency=2):
        neighbour = tasks.work.delay("neighbour", HELD)
        stuck = tasks.stuck.delay("read")
        ledger.wait_for("start", "neighbour", "read")
        # The slots are back in service in another process while the neighbour still runs in the old one.
        assert tasks.work.delay("next").get(20) == "next"
        assert ledger.count("end", "neighbour") == 0
        ledger.release("neighbour")
        assert neighbour.get(20) == "neighbour"
        with pytest.raises(errors.TaskFailed, match="hard time limit"):
            stuck.get(25)
    assert ledger.count("start", "neighbour") == 1
    assert ledger.pids("next") != ledger.pids("neighbour")


def test_an_option_of_the_call_sets_the_limits(tasks: Any, worker: Any) -> None:
    with worker(concurrency=1):
        result = tasks.work.options(timeout=1, hard_timeout=2).delay("sleeps in C", 60.0)
        with pytest.raises(errors.TaskFailed, match="time limit"):
            result.get(25)

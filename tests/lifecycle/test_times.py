"""Tasks start when they are due, and not at all when they have expired; by a real worker."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
import redis

from taskflow import errors
from taskflow.broker.keys import queue_keys
from taskflow.inspector import Inspector
from taskflow.states import State
from tests.lifecycle.conftest import Ledger
from tests.servers import wait_until


def started(ledger: Ledger, tag: str) -> float:
    """When a task first started (monotonic seconds)."""
    return float(next(line[3] for line in ledger.lines() if line[:2] == ["start", tag]))


def test_a_delay_of_a_fraction_is_one(tasks: Any, worker: Any, ledger: Ledger) -> None:
    """`delay=0.3` started 0.3 to 1.3 s later, whenever the next second began. Five times, since a loaded machine may be late,
    too: by chance alone most of them are hardly ever in time.
    """
    late = []
    with worker(concurrency=2):
        for number in range(5):
            before = time.monotonic()
            tasks.work.options(delay=0.3).delay(f"d{number}").get(15)
            late.append(started(ledger, f"d{number}") - before - 0.3)
    assert min(late) >= -0.001, "never early"
    assert sorted(late)[3] < 0.25, late


def test_a_retry_after_a_fraction_is_one(tasks: Any, worker: Any, ledger: Ledger) -> None:
    late = []
    with worker(concurrency=2):
        for number in range(5):
            tasks.soon_again.delay(f"r{number}").get(15)
            first, second = (float(line[3]) for line in ledger.lines() if line[:2] == ["start", f"r{number}"])
            late.append(second - first - 0.3)
    assert min(late) >= -0.001
    assert sorted(late)[3] < 0.25, late


def test_what_expired_before_it_started_is_archived_at_once_and_never_run(
    tasks: Any, worker: Any, ledger: Ledger
) -> None:
    """It was tried again up to 25 times over days, since `expires` was stored as Asynq's deadline; and `expires=0` ran."""
    late = tasks.work.options(expires=0.2, max_retries=5).delay("late")
    never = tasks.work.options(expires=0).delay("never")
    due = tasks.work.options(expires=1, delay=1.5).delay("due")
    good = tasks.work.options(expires=600).delay("good")
    time.sleep(0.3)  # the time itself has to pass
    with worker(concurrency=2) as process:
        assert good.get(15) == "good"
        for result in (late, never, due):
            with pytest.raises(errors.TaskFailed, match="expired"):
                result.get(15)
            assert result.state is State.ARCHIVED
            assert result.info().retried == 0
        process.wait_for_log("it had not started when it expired")
    assert {line[1] for line in ledger.lines()} == {"good"}


def test_a_task_that_expires_while_it_waits_behind_another_is_not_run(
    tasks: Any, worker: Any, ledger: Ledger
) -> None:
    with worker(concurrency=1):
        slow = tasks.work.delay("slow", 1.0)
        ledger.wait_for("start", "slow")
        behind = tasks.work.options(expires=0.3).delay("behind")
        with pytest.raises(errors.TaskFailed, match="expired"):
            behind.get(15)
        assert slow.get(15) == "slow"
    assert ledger.count("start", "behind") == 0


def test_what_has_started_in_time_is_not_touched_by_its_expiry(
    tasks: Any, worker: Any, ledger: Ledger
) -> None:
    """A running task was cut off by it, and a retry after it counted as expired."""
    with worker(concurrency=2):
        tasks.work.delay("warm").get(15)
        running = tasks.work.options(expires=1).delay("running", 1.2)
        again = tasks.fail_once.options(expires=1).delay("again")  # its retry comes a second later
        assert running.get(15) == "running"
        assert again.get(15) == 1
    assert (ledger.count("start", "running"), ledger.count("start", "again")) == (1, 2)


def test_a_task_that_ran_when_its_worker_stopped_starts_again_although_it_expired(
    tasks: Any, worker: Any, ledger: Ledger
) -> None:
    with worker(concurrency=1, grace=0) as process:
        tasks.work.delay("warm").get(15)
        result = tasks.work.options(expires=1).delay("stopped", 1.0)
        ledger.wait_for("start", "stopped")
        process.terminate()
    time.sleep(1.0)  # the time itself has to pass
    with worker(concurrency=1):
        assert result.get(20) == "stopped"
    assert ledger.count("start", "stopped") == 2


def test_the_latency_of_a_backlog_is_its_age_when_tasks_were_handed_back(
    tasks: Any, worker: Any, ledger: Ledger, broker: Any, raw: redis.Redis, queue: str
) -> None:
    """What a worker had taken and handed back stood in front, without a word of how long it had waited: `queue ls` said 0, and so
    did Go's tools, which look at the front task only.
    """
    for number in range(3):
        tasks.work.delay(f"t{number}", 5.0)
    with worker(concurrency=2, grace=0) as process:
        ledger.wait_for("start", "t0", "t1")
        process.terminate()
    time.sleep(1.0)  # the age itself
    keys = queue_keys(queue)
    (front,) = raw.lrange(keys.pending, -1, -1)
    since = raw.hget(keys.task(front.decode()), "pending_since")
    assert since is not None
    wait_until(
        lambda: Inspector(broker).queue(queue).latency >= timedelta(seconds=1), description="it has an age"
    )

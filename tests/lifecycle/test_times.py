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
from tests.lifecycle.held import HELD
from tests.servers import wait_until


def started(ledger: Ledger, tag: str) -> float:
    """When a task first started (monotonic seconds)."""
    return float(next(line[3] for line in ledger.lines() if line[:2] == ["start", tag]))


def start_takes(tasks: Any, ledger: Ledger, number: int) -> float:
    """Seconds from the call of a task without a delay to its start: what a loaded machine adds to any."""
    before = time.monotonic()
    tasks.work.delay(f"now{number}").get(25)
    return started(ledger, f"now{number}") - before


def started_in_time(task: Any, ledger: Ledger, tag: str, *arguments: Any) -> tuple[str, Any, float]:
    """Have a task start before it expires: a second after it was enqueued, or more where that was too short for the machine.

    Returns:
        Its tag, its handle, and when it expires (monotonic seconds).
    """
    for expires in (1, 2, 4, 8):
        name = f"{tag}{expires}"
        result = task.options(expires=expires).delay(name, *arguments)
        at = time.monotonic() + expires

        def is_decided(name: str = name, result: Any = result) -> bool:
            return bool(ledger.count("start", name)) or result.state is State.ARCHIVED

        wait_until(is_decided, description="it has started or expired")
        if ledger.count("start", name):
            return name, result, at
    raise AssertionError("nothing starts within 8 s")


def let_pass(moment: float) -> None:
    """Wait until a moment has passed (monotonic seconds)."""
    time.sleep(max(moment - time.monotonic(), 0) + 0.05)


def test_a_delay_of_a_fraction_is_one(tasks: Any, worker: Any, ledger: Ledger) -> None:
    """`delay=0.3` started 0.3 to 1.3 s later, whenever the next second began. Five times: by chance alone most of them are hardly
    ever in time.
    """
    late, without = [], []
    with worker(concurrency=2):
        for number in range(5):
            without.append(start_takes(tasks, ledger, number))
            before = time.monotonic()
            tasks.work.options(delay=0.3).delay(f"d{number}").get(25)
            late.append(started(ledger, f"d{number}") - before - 0.3)
    assert min(late) >= -0.001, "never early"
    assert sorted(late)[3] < sorted(without)[3] + 0.25, (late, without)


def test_a_retry_after_a_fraction_is_one(tasks: Any, worker: Any, ledger: Ledger) -> None:
    late, without = [], []
    with worker(concurrency=2):
        for number in range(5):
            without.append(start_takes(tasks, ledger, number))
            tasks.soon_again.delay(f"r{number}").get(25)
            first, second = (float(line[3]) for line in ledger.lines() if line[:2] == ["start", f"r{number}"])
            late.append(second - first - 0.3)
    assert min(late) >= -0.001
    assert sorted(late)[3] < sorted(without)[3] + 0.25, (late, without)


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
        assert good.get(25) == "good"
        for result in (late, never, due):
            with pytest.raises(errors.TaskFailed, match="expired"):
                result.get(25)
            assert result.state is State.ARCHIVED
            assert result.info().retried == 0
        process.wait_for_log("it had not started when it expired")
    assert {line[1] for line in ledger.lines()} == {"good"}


def test_a_task_that_expires_while_it_waits_behind_another_is_not_run(
    tasks: Any, worker: Any, ledger: Ledger
) -> None:
    with worker(concurrency=1):
        slow = tasks.work.delay("slow", HELD)
        ledger.wait_for("start", "slow")
        behind = tasks.work.options(expires=0.2).delay("behind")
        time.sleep(0.3)  # the time itself has to pass
        ledger.release("slow")
        with pytest.raises(errors.TaskFailed, match="expired"):
            behind.get(25)
        assert slow.get(25) == "slow"
    assert ledger.count("start", "behind") == 0


def test_what_has_started_in_time_is_not_touched_by_its_expiry(
    tasks: Any, worker: Any, ledger: Ledger
) -> None:
    """A running task was cut off by it, and a retry after it counted as expired."""
    with worker(concurrency=2):
        tasks.work.delay("warm").get(25)
        running, result, expired = started_in_time(tasks.work, ledger, "running", HELD)
        again, second, _ = started_in_time(tasks.fail_once, ledger, "again")  # its retry comes a second later
        let_pass(expired)
        ledger.release(running)
        assert result.get(25) == running
        assert second.get(25) == 1
    assert (ledger.count("start", running), ledger.count("start", again)) == (1, 2)


def test_a_task_that_ran_when_its_worker_stopped_starts_again_although_it_expired(
    tasks: Any, worker: Any, ledger: Ledger
) -> None:
    with worker(concurrency=1, grace=0) as process:
        tasks.work.delay("warm").get(25)
        stopped, result, expired = started_in_time(tasks.work, ledger, "stopped", HELD)
        process.terminate()
    let_pass(expired)
    ledger.release(stopped)
    with worker(concurrency=1):
        assert result.get(20) == stopped
    assert ledger.count("start", stopped) == 2


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

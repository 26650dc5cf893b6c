"""Tasks run: in threads, processes and this process; once, with retries, on time."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from taskflow import errors
from taskflow.broker.sync import Broker
from taskflow.states import State
from tests.leases import end_leases
from tests.lifecycle.conftest import Ledger
from tests.lifecycle.held import HELD
from tests.servers import wait_until
from tests.taking import take_one


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 4},
        {"concurrency": 2, "pool": "processes"},
        {"concurrency": 2, "processes": 2},
        {"concurrency": 1, "pool": "solo"},
    ],
    ids=["threads", "processes", "two of threads", "solo"],
)
def test_a_burst_runs_functions_and_coroutines_once_and_ends(
    tasks: Any, worker: Any, ledger: Ledger, options: dict[str, Any]
) -> None:
    results = [tasks.work.delay(f"f{n}", 0.01) for n in range(10)]
    results += [tasks.async_work.delay(f"c{n}", 0.01) for n in range(10)]
    with worker(burst=True, **options) as process:
        assert process.wait(30) == 0
    assert [result.get(1) for result in results] == [f"f{n}" for n in range(10)] + [
        f"c{n}" for n in range(10)
    ]
    assert sum(line[0] == "start" for line in ledger.lines()) == 20


def test_a_burst_runs_what_a_dead_worker_had_and_what_a_full_group_becomes(
    tasks: Any,
    worker: Any,
    ledger: Ledger,
    broker: Broker,
    raw: redis.Redis,
    queue: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loops that find these begin a moment after the first tasks; the end of a burst waits for them."""
    monkeypatch.setenv("TASKFLOW_TEST_GROUPS", queue)
    tasks.work.delay("left")
    take_one(broker, queue, "dead:1:x")
    end_leases(raw, queue)
    for _ in range(50):
        tasks.single.options(group="sums", retention=0).delay(1)
    with worker(burst=True, concurrency=1) as process:
        assert process.wait(30) == 0
    assert ledger.count("end", "left") == 1
    assert ledger.count("joined", "sums:50:50") == 1


def test_processes_of_one_task_each_really_are_processes(tasks: Any, worker: Any, ledger: Ledger) -> None:
    with worker(concurrency=3, pool="processes"):
        for number in range(3):
            tasks.work.delay(f"p{number}", HELD)
        ledger.wait_for("start", "p0", "p1", "p2")
        for number in range(3):
            ledger.release(f"p{number}")
    assert len({ledger.pids(f"p{number}")[0] for number in range(3)}) == 3


def test_concurrency_bounds_functions_and_coroutines_together(
    tasks: Any, worker: Any, ledger: Ledger
) -> None:
    tags = [f"{kind}{n}" for kind in "fc" for n in range(6)]
    with worker(concurrency=3):
        results = [(tasks.work if tag[0] == "f" else tasks.async_work).delay(tag, HELD) for tag in tags]
        wait_until(lambda: len(ledger.lines()) >= 3, description="three run")
        time.sleep(0.2)  # in which one more would start
        for tag in tags:
            ledger.release(tag)
        for result in results:
            result.get(20)
    running = most = 0
    for line in ledger.lines():
        running += 1 if line[0] == "start" else -1
        most = max(most, running)
    assert most == 3


def test_a_failure_is_retried_by_the_tasks_policy(tasks: Any, worker: Any, ledger: Ledger) -> None:
    with worker(concurrency=2) as process:
        result = tasks.fail_once.delay("r")
        wait_until(lambda: result.state is State.RETRY, description="it waits for its retry")
        assert result.info().last_error == "the first attempt fails"
        assert result.get(25) == 1
        process.wait_for_log(
            lambda line: "failed in" in line and "ValueError" in line and "next attempt in 1s" in line
        )
    assert ledger.count("start", "r") == 2


def test_retry_and_reject_are_verdicts_of_the_task(tasks: Any, worker: Any) -> None:
    with worker(concurrency=2):
        waiting, rejected = tasks.later.delay("l"), tasks.reject.delay("no such thing")
        assert waiting.get(25) == 1
        with pytest.raises(errors.TaskFailed, match="no such thing") as raised:
            rejected.get(25)
        assert raised.value.text == "no such thing"


def test_a_delayed_task_runs_when_it_is_due_and_never_early(tasks: Any, worker: Any, ledger: Ledger) -> None:
    with worker(concurrency=2):
        before = time.monotonic()
        tasks.work.options(delay=1.2).delay("d").get(25)
    started = float(next(line[3] for line in ledger.lines() if line[:2] == ["start", "d"]))
    assert started - before >= 1.2


def test_a_task_past_its_deadline_is_not_called(tasks: Any, worker: Any, ledger: Ledger) -> None:
    result = tasks.work.options(deadline=datetime.now(UTC)).delay("late")
    time.sleep(1.1)  # the deadline itself has to pass
    with worker(burst=True, concurrency=1) as process:
        assert process.wait(30) == 0
    with pytest.raises(errors.TaskFailed, match="deadline"):
        result.get(25)
    assert ledger.count("start", "late") == 0


def test_strict_order_serves_the_weightier_queue_first(
    tasks: Any, worker: Any, ledger: Ledger, queue: str
) -> None:
    high, low = f"{queue}-high", f"{queue}-low"
    for number in range(40):
        tasks.work.options(queue=low).delay(f"low{number}", 0.005)
        tasks.work.options(queue=high).delay(f"high{number}", 0.005)
    with worker(queues={low: 1, high: 5}, strict=True, burst=True, concurrency=1) as process:
        assert process.wait(30) == 0
    order = [line[1] for line in ledger.lines() if line[0] == "start"]
    assert len(order) == 80
    assert all(tag.startswith("high") for tag in order[:40])


def test_a_paused_queue_is_left_alone_until_it_is_resumed(
    tasks: Any, worker: Any, raw: redis.Redis, queue: str, ledger: Ledger
) -> None:
    raw.set(f"asynq:{{{queue}}}:paused", 1)
    with worker(concurrency=1):
        result = tasks.work.delay("p")
        with pytest.raises(errors.ResultTimeout):
            result.get(1.5)
        raw.delete(f"asynq:{{{queue}}}:paused")
        assert result.get(25) == "p"


def test_log_lines_say_what_happened_and_never_an_argument(tasks: Any, worker: Any) -> None:
    with worker(concurrency=1, log_format="json", ready=False) as process:
        good, bad = tasks.work.delay("canary-7c1"), tasks.secretive.options(max_retries=0).delay("canary-7c1")
        good.get(20)
        with pytest.raises(errors.TaskFailed):
            bad.get(20)
        process.wait_for_log(lambda line: good.id in line and "succeeded" in line)
        process.wait_for_log(lambda line: bad.id in line and "archived" in line)
        lines = process.log
    assert not [line for line in lines if "canary" in line]
    events = [json.loads(line) for line in lines]
    succeeded = next(
        event for event in events if event.get("id") == good.id and "succeeded" in event["message"]
    )
    assert succeeded["task"] == "tests.lifecycle.app.work"
    assert succeeded["seconds"] >= 0
    assert {"received", "succeeded"} <= {
        word for event in events if event.get("id") == good.id for word in event["message"].split()
    }


def test_the_banner_names_everything_but_the_password(
    tasks: Any, worker: Any, valkey: Any, queue: str
) -> None:
    with worker(concurrency=3, processes=2) as process:
        banner = "\n".join(process.log)
    assert "tests.lifecycle.app.work" in banner
    assert f"{queue}=1" in banner
    assert f"127.0.0.1:{valkey.port}" in banner
    assert "concurrency  6" in banner


def test_a_group_is_joined_into_one_task(
    tasks: Any, worker: Any, ledger: Ledger, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every task of the group is in exactly one joined task, and none runs by itself."""
    monkeypatch.setenv("TASKFLOW_TEST_GROUPS", queue)
    with worker(concurrency=2) as process:
        for number in range(120):
            tasks.single.options(group="sums", retention=0).delay(number)
        process.wait_for_log("of group sums")

        def total() -> int:
            return sum(int(line[1].split(":")[1]) for line in ledger.lines() if line[0] == "joined")

        wait_until(lambda: total() >= 120, description="all are joined")
    joined = [line[1].split(":") for line in ledger.lines() if line[0] == "joined"]
    assert sum(int(count) for _, count, _ in joined) == 120
    assert sum(int(numbers) for _, _, numbers in joined) == sum(range(120))
    assert all(int(count) <= 50 for _, count, _ in joined)
    assert not [line for line in ledger.lines() if line[0] == "single"]


def test_a_task_enqueues_where_its_worker_takes(tasks: Any, worker: Any, queue: str) -> None:
    """The worker was given another broker than the app has: the task's own call goes there too."""
    with worker(concurrency=2, environment={"TASKFLOW_BROKER": "redis://127.0.0.1:1"}):
        passed = tasks.pass_on.delay("on", queue).get(25)
        assert tasks.app.result(passed, queue=queue).get(25) == "on"


def test_a_group_that_nobody_here_joins_is_said_once(
    tasks: Any, worker: Any, queue: str, raw: redis.Redis
) -> None:
    """`group=` on a queue without a rule waits for ever. Another program may have the rule, so it is a warning and no error."""
    tasks.single.options(group="sums").delay(1)
    with worker(concurrency=1) as process:
        line = process.wait_for_log("tasks wait in aggregation group 'sums'")
        assert f"app.aggregate(..., queue='{queue}')" in line
        tasks.single.options(group="others").delay(2)
        assert tasks.work.delay("w").get(25) == "w"
    assert sum("aggregation group" in line for line in process.log) == 1

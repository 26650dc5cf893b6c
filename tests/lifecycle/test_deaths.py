"""Children and workers die; tasks do not."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
import redis

from taskflow import errors
from taskflow.worker.timings import Timings
from tests.lifecycle.conftest import Ledger
from tests.lifecycle.held import HELD
from tests.servers import wait_until


def test_kills_a_child_while_its_tasks_run(tasks: Any, worker: Any, ledger: Ledger) -> None:
    """The worker knows which tasks the child held: they run again at once, long before any lease ends."""
    with worker(concurrency=3) as process:
        results = [tasks.work.delay(f"k{n}", HELD) for n in range(6)]
        ledger.wait_for("start", "k0", "k1", "k2")
        os.kill(ledger.pids("k0")[0], signal.SIGKILL)
        for n in range(6):
            ledger.release(f"k{n}")
        assert [result.get(20) for result in results] == [f"k{n}" for n in range(6)]
        process.wait_for_log("signal SIGKILL")
    # What ran was interrupted and ran twice; what had not started ran once.
    assert [ledger.count("start", f"k{n}") for n in range(6)] == [2, 2, 2, 1, 1, 1]


def test_isolates_a_task_that_kills_its_process(tasks: Any, worker: Any, ledger: Ledger) -> None:
    """Three processes are the price; then it is archived with the reason. Its neighbours complete."""
    with worker(concurrency=20):
        neighbours = [tasks.work.delay(f"n{n}", 0.5) for n in range(19)]
        ledger.wait_for("start", *(f"n{n}" for n in range(19)))
        poison = tasks.kill_own_process.delay("poison")
        with pytest.raises(errors.TaskFailed, match="process died 3 times"):
            poison.get(30)
        assert {neighbour.get(30) for neighbour in neighbours} == {f"n{n}" for n in range(19)}
    assert ledger.count("start", "poison") == 3


def test_kills_the_whole_worker(
    tasks: Any, worker: Any, ledger: Ledger, raw: redis.Redis, queue: str
) -> None:
    """Another worker takes over when the leases have ended; also a task that has no retries at all."""
    quick = Timings(lease=2, lease_extension=0.3, recover=0.3)
    with worker(concurrency=2, timings=quick) as first:
        results = [tasks.work.delay(f"w{n}", 1.0) for n in range(4)]
        ledger.wait_for("start", "w0", "w1")
        children = ledger.pids("w0")
        first.kill()
        wait_until(lambda: not _alive(children[0]), description="the child ends with its worker")
    with worker(concurrency=4, timings=quick):
        assert [result.get(60) for result in results] == [f"w{n}" for n in range(4)]
    assert raw.llen(f"asynq:{{{queue}}}:active") == 0
    assert raw.zcard(f"asynq:{{{queue}}}:lease") == 0


def test_refuses_the_verdict_of_a_worker_that_lost_the_task(
    tasks: Any, worker: Any, ledger: Ledger, raw: redis.Redis, queue: str
) -> None:
    """Somebody else holds the task when the first worker comes back: its verdict changes nothing."""
    with worker(concurrency=1) as process:
        result = tasks.work.delay("late", HELD)
        ledger.wait_for("start", "late")
        theirs = {"owner": "somebody-else", "receipt": "of another taking"}
        raw.hset(f"asynq:{{{queue}}}:t:{result.id}", mapping=theirs)
        ledger.release("late")
        process.wait_for_log("was refused")
    task = raw.hgetall(f"asynq:{{{queue}}}:t:{result.id}")
    assert task[b"state"] == b"active"
    assert task[b"owner"] == b"somebody-else"
    assert raw.lrange(f"asynq:{{{queue}}}:active", 0, -1) == [result.id.encode()]


def test_refuses_the_verdict_when_go_has_the_task(
    tasks: Any, worker: Any, ledger: Ledger, raw: redis.Redis, queue: str
) -> None:
    """Go knows no owner, and leaves what ours has written in the task; its lease is one of whole seconds."""
    with worker(concurrency=1) as process:
        result = tasks.work.delay("late", HELD)
        ledger.wait_for("start", "late")
        gos = int(time.time()) + 30
        raw.zadd(f"asynq:{{{queue}}}:lease", {result.id: gos})
        ledger.release("late")
        process.wait_for_log("was refused")
        assert raw.hget(f"asynq:{{{queue}}}:t:{result.id}", "state") == b"active"
        assert raw.zscore(f"asynq:{{{queue}}}:lease", result.id) == gos


def test_takes_back_quick_tasks_that_wait_behind_a_slow_one(tasks: Any, worker: Any, ledger: Ledger) -> None:
    """Quick tasks are sent ahead to a child; when one turns out slow, those behind it go to the other child."""
    with worker(concurrency=1, processes=2):
        for result in tasks.work.map([(f"warm{n}",) for n in range(300)]).results:
            result.get(20)
        slow = tasks.work.delay("slow", HELD)
        ledger.wait_for("start", "slow")
        quick = tasks.work.map([(f"q{n}",) for n in range(100)])
        for result in quick.results:
            result.get(20)
        ledger.release("slow")
        assert slow.get(20) == "slow"
    assert all(ledger.count("start", f"q{n}") == 1 for n in range(100))


def test_nothing_waits_behind_a_slow_task_while_another_worker_idles(
    tasks: Any, worker: Any, ledger: Ledger
) -> None:
    """The first worker knows the tasks to be quick and takes ahead; the slow one comes in the same breath as those behind it."""
    with worker(concurrency=1):
        for result in tasks.work.map([(f"warm{n}",) for n in range(300)]).results:
            result.get(20)
        with worker(concurrency=1):
            calls = [("slow", HELD), *((f"q{n}",) for n in range(100))]
            slow, *quick = tasks.work.map(calls).results
            for result in quick:
                result.get(20)
            ledger.release("slow")
            assert slow.get(20) == "slow"
    assert all(ledger.count("start", f"q{n}") == 1 for n in range(100))


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_takes_up_again_what_a_dequeue_without_a_reply_took(
    tasks: Any, worker: Any, ledger: Ledger, raw: redis.Redis, queue: str
) -> None:
    """The connections are cut again and again while tasks come: nothing waits for the end of a lease, and nothing runs twice."""
    with worker(concurrency=4):
        results = []
        for number in range(120):
            results.append(tasks.work.delay(f"c{number}"))
            if number % 4 == 0:
                raw.client_kill_filter(_type="normal", skipme=True)
        assert [result.get(20) for result in results] == [f"c{n}" for n in range(120)]
    assert all(ledger.count("start", f"c{n}") == 1 for n in range(120))
    assert raw.zcard(f"asynq:{{{queue}}}:lease") == 0

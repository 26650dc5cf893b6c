"""Tasks that ask for another pool than the worker's have one beside it, in the same worker."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskflow import State
from taskflow.errors import TaskFailed
from tests.lifecycle import pools_app as module
from tests.lifecycle.conftest import Ledger, tasks_of
from tests.lifecycle.held import HELD
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess


@pytest.fixture
def pools(valkey: Server, queue: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module's tasks, sent to this test's queue, or to another."""
    with tasks_of(module, valkey, queue, monkeypatch) as found:
        yield found


@pytest.fixture
def worker(valkey: Server, queue: str, ledger: Ledger) -> Callable[..., WorkerProcess]:
    def start(**options: Any) -> WorkerProcess:
        options.setdefault("queues", {queue: 1})
        return WorkerProcess("tests.lifecycle.pools_app", broker=valkey.url_as("worker"), **options)

    return start


def test_one_worker_has_threads_coroutines_and_processes(pools: Any, worker: Any) -> None:
    with worker(concurrency=4, beside=2) as running:
        assert any(
            '2 (processes, 2 processes of 1) for the 3 tasks with pool="processes"' in line
            for line in running.log
        )
        plain, plain_main = pools.plain.delay("p").get(20)
        thread, thread_main = pools.thread.delay("t").get(20)
        coroutine, _ = pools.coroutine.delay("c").get(20)
        process, process_main = pools.process.delay("x").get(20)
        assert plain == thread == coroutine != process
        assert (plain_main, thread_main, process_main) == (False, False, True)


def test_the_soft_limit_of_such_a_task_comes_inside_a_blocking_call(pools: Any, worker: Any) -> None:
    """Which is what people ask for it for."""
    with worker(concurrency=4, beside=1):
        with pytest.raises(TaskFailed, match="time limit of 1 s exceeded"):
            pools.process.delay("x", 60).get(20)
        assert pools.process.delay("y").get(20)


def test_with_processes_a_task_that_asks_for_a_thread_has_one(
    pools: Any, worker: Any, ledger: Ledger
) -> None:
    with worker(pool="processes", concurrency=1, beside=5):
        tags = [f"t{number}" for number in range(5)]
        threads = [pools.thread.delay(tag, HELD) for tag in tags]
        process, main = pools.plain.delay("p").get(20)
        assert main
        ledger.wait_for("start", *tags)  # all at once, although the worker has one process
        for tag in tags:
            ledger.release(tag)
        pids = {tuple(result.get(20)) for result in threads}
        assert len(pids) == 1
        assert process not in {pid for pid, _ in pids}


def test_tasks_that_wait_for_a_process_do_not_hold_up_those_behind_them(
    pools: Any, worker: Any, ledger: Ledger
) -> None:
    """They go back for a second: the queue is one, and the others are behind them."""
    slow = [pools.process.options(timeout=29).delay(f"x{number}", HELD) for number in range(6)]
    quick = [pools.plain.delay(f"p{number}") for number in range(6)]
    with worker(concurrency=4, beside=1):
        for result in quick:
            result.get(20)
        for number in range(6):
            ledger.release(f"x{number}")
        for result in slow:
            assert result.get(40)
    assert [ledger.count("start", f"x{number}") for number in range(6)] == [1] * 6


def test_of_a_queue_of_such_tasks_no_more_are_taken_than_can_run(
    pools: Any, worker: Any, ledger: Ledger, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others stay in the queue, in their order, for whoever has room: here nobody."""
    own = f"{queue}-processes"
    monkeypatch.setenv("TASKFLOW_TEST_PROCESS_QUEUE", own)
    with worker(concurrency=4, beside=1, queues={queue: 1, own: 1}):
        only = module.only.options(queue=own)
        first = only.delay("x0", HELD)
        wait_until(lambda: first.state is State.ACTIVE, description="the first runs")
        rest = [only.delay(f"x{number}", 0.1) for number in range(1, 4)]
        time.sleep(0.5)
        assert {result.state for result in rest} <= {State.PENDING}
        ledger.release("x0")
        for result in [first, *rest]:
            result.get(20)


def test_a_crash_beside_hurts_only_itself(pools: Any, worker: Any, ledger: Ledger) -> None:
    with worker(concurrency=4, beside=1):
        crash = pools.dies.delay("d")
        plain = pools.plain.delay("p", 2.0)
        with pytest.raises(TaskFailed, match="process"):
            crash.get(40)
        assert plain.get(20)
        assert pools.process.delay("x").get(20)
    assert ledger.count("start", "p") == 1
    assert ledger.count("start", "d") == 3


def test_all_of_them_drain_and_are_replaced(pools: Any, worker: Any, ledger: Ledger) -> None:
    with worker(concurrency=4, beside=1) as running:
        process, _ = pools.process.delay("x").get(20)
        running.signal(signal.SIGHUP)
        wait_until(lambda: pools.process.delay("y").get(20)[0] != process, description="another process")
        last = pools.process.options(timeout=20).delay("last", 1.0)
        ledger.wait_for("start", "last")
        assert running.terminate() == 0
    assert last.state is State.COMPLETED

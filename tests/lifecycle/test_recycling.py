"""Children that are replaced although nothing is wrong, and as many as are needed."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from taskflow.cli.main import main
from taskflow.worker.timings import Timings
from tests.lifecycle.conftest import Ledger
from tests.lifecycle.held import HELD
from tests.servers import wait_until
from tests.workers import WorkerProcess

SOON = Timings(scale_up=0.1, scale_down=1.0)


def handed_back(worker: WorkerProcess) -> list[str]:
    return [line for line in worker.log if "given back" in line or "go back" in line]


@pytest.mark.parametrize("pool", ["processes", "threads"])
def test_a_child_runs_so_many_tasks_and_no_more(tasks: Any, worker: Any, ledger: Ledger, pool: str) -> None:
    results = [tasks.work.delay(f"t{number}") for number in range(25)]
    with worker(pool=pool, concurrency=2, max_tasks_per_child=5) as running:
        assert [result.get(30) for result in results] == [f"t{number}" for number in range(25)]
        ran = Counter(pid for number in range(25) for pid in ledger.pids(f"t{number}"))
        assert sum(ran.values()) == 25
        assert max(ran.values()) <= 5
        running.wait_for_log("it was given 5 tasks (--max-tasks-per-child)")
        assert not handed_back(running)


def test_each_task_may_have_a_process_of_its_own_and_no_more_run_at_once(
    tasks: Any, worker: Any, ledger: Ledger
) -> None:
    """Its successor is there before it has ended, and waits for the slot."""
    results = [tasks.work.delay(f"t{number}", 0.3) for number in range(6)]
    with worker(pool="processes", concurrency=1, max_tasks_per_child=1):
        for result in results:
            result.get(30)
    lines = [(line[0], float(line[3])) for line in ledger.lines()]
    assert [event for event, _ in lines] == ["start", "end"] * 6
    assert len({pid for number in range(6) for pid in ledger.pids(f"t{number}")}) == 6


def test_a_child_with_too_much_memory_is_replaced_and_nothing_is_lost(
    tasks: Any, worker: Any, ledger: Ledger
) -> None:
    results = [tasks.leak.delay(f"t{number}", 3) for number in range(60)]
    with worker(pool="processes", concurrency=1, max_memory_per_child="70M") as running:
        sizes = [result.get(60) for result in results]
        running.wait_for_log("MiB of memory (--max-memory-per-child)")
        assert not handed_back(running)
    assert max(sizes) < 90  # MiB
    assert [ledger.count("start", f"t{number}") for number in range(60)] == [1] * 60
    assert len({pid for number in range(60) for pid in ledger.pids(f"t{number}")}) > 2


def running_children(worker: WorkerProcess) -> int:
    return len(Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split())


def test_there_are_more_processes_while_tasks_wait_and_fewer_afterwards(tasks: Any, worker: Any) -> None:
    with worker(pool="processes", autoscale="4,1", timings=SOON) as running:
        assert any(
            "concurrency  1 to 4 (processes, at most 4 processes of 1)" in line for line in running.log
        )
        assert running_children(running) == 1
        results = [tasks.work.delay(f"t{number}", 0.5) for number in range(16)]
        running.wait_for_log("Concurrency is 4 from now on: tasks wait")
        wait_until(lambda: running_children(running) == 4, description="four children")
        for result in results:
            result.get(30)
        running.wait_for_log("Concurrency is 1 from now on: fewer were enough")
        wait_until(lambda: running_children(running) == 1, description="one child")
        assert tasks.work.delay("last").get(25) == "last"
        assert not [line for line in running.log if "ERROR" in line]


def test_with_threads_there_are_more_slots(tasks: Any, worker: Any, ledger: Ledger) -> None:
    with worker(autoscale="6,2", timings=SOON) as running:
        results = [tasks.work.delay(f"t{number}", HELD) for number in range(24)]
        running.wait_for_log("Concurrency is 6 from now on")
        wait_until(lambda: len(ledger.lines()) >= 6, description="so many run")
        for number in range(24):
            ledger.release(f"t{number}")
        for result in results:
            result.get(30)
        running.wait_for_log("Concurrency is 2 from now on")
    at_once, most = 0, 0
    for line in sorted(ledger.lines(), key=lambda line: float(line[3])):
        at_once += 1 if line[0] == "start" else -1
        most = max(most, at_once)
    assert most == 6


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--autoscale", "4,20"], "--autoscale 20,4"),
        (["--autoscale", "many"], "--autoscale 20,4"),
        (["--autoscale", "20,4", "-c", "3"], "leave one of them out"),
        (["--max-memory-per-child", "300"], "write 300M"),
        (["--max-memory-per-child", "much"], "write 300M, 2G"),
        (["-P", "solo", "--max-tasks-per-child", "3"], "-P solo has no child"),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(options: list[str], text: str) -> None:
    result = CliRunner().invoke(main, ["worker", "-A", "nowhere", *options])
    assert result.exit_code != 0
    assert text in re.sub(r"\s+", " ", result.output + str(result.exception))

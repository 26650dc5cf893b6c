"""Signals that Celery's, Sidekiq's and service managers' users send: none of them ends or stops a worker that holds tasks."""

from __future__ import annotations

import itertools
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from taskflow import TaskFlow
from taskflow.states import State
from taskflow.worker.config import WorkerConfig
from taskflow.worker.launch import EARLY_SIGNALS
from taskflow.worker.main import actions
from taskflow.worker.timings import Timings
from taskflow.worker.worker import Worker
from tests.lifecycle.conftest import Ledger
from tests.lifecycle.held import HELD
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess


def test_quit_hands_back_at_once_and_ends_cleanly(tasks: Any, worker: Any, ledger: Ledger) -> None:
    """Celery's cold shutdown. It used to kill the worker, and its tasks waited for the end of their leases."""
    with worker(concurrency=2, grace=100) as process:
        slow = tasks.work.delay("slow", 60.0)
        ledger.wait_for("start", "slow")
        process.signal(signal.SIGQUIT)
        assert process.wait(25) == 0
    assert slow.state is State.PENDING
    assert slow.info().retried == 0


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_a_signal_that_comes_late_does_not_change_how_a_worker_ends(worker: Any, pool: str) -> None:
    """Somebody impatient presses Ctrl-C until it is gone, a supervisor repeats its TERM: everything was handed back, and yet the
    worker ended by SIGINT, SIGTERM or SIGQUIT, for which a supervisor may well raise an alarm.
    """
    with worker(concurrency=1, pool=pool) as process:
        process.signal(signal.SIGTERM)
        process.wait_for_log("Stopping: running tasks have")
        late = itertools.cycle((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR2))
        while process.process.poll() is None:
            process.signal(next(late))
            time.sleep(0.0005)
        assert process.wait() == 0


def test_a_worker_that_still_starts_knows_all_signals_of_one_at_work() -> None:
    """Its list stands where nothing may be imported, so it is written a second time."""
    stops = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}
    assert {*EARLY_SIGNALS} == actions(Worker(WorkerConfig("app"))).keys() - stops - {signal.SIGCONT}


def test_a_worker_that_still_starts_outlives_the_signals_of_one_at_work(
    tasks: Any, worker: Any, ledger: Ledger
) -> None:
    """A reload right after the start, or a question for stacks, ended it: its handlers came half a second later."""
    with worker(concurrency=2, ready=False) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_until(children.read_text, description="its children are started")
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTSTP):
            process.signal(number)
        process.signal(signal.SIGCONT)
        assert tasks.work.delay("early", 0.0).get(20) == "early"


def test_signals_that_mean_nothing_here_end_nothing(tasks: Any, worker: Any, ledger: Ledger) -> None:
    """ALRM ended the worker with its tasks leased, TTIN and TTOU stopped it until they ran out."""
    with worker(concurrency=2) as process:
        running = tasks.work.delay("running", 2.0)
        ledger.wait_for("start", "running")
        for number in (signal.SIGTTOU, signal.SIGALRM, signal.SIGIO):
            process.signal(number)
            process.wait_for_log(f"{number.name} does nothing here")
        process.signal(signal.SIGTTIN)
        process.wait_for_log("Stacks of child")
        assert running.get(25) == "running"
    assert ledger.count("start", "running") == 1


def children_of(process: WorkerProcess) -> set[str]:
    return set(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())


def test_usr2_replaces_the_children_one_by_one(tasks: Any, worker: Any, ledger: Ledger) -> None:
    """HUP has twice as many in memory while they finish what they run, which a small host does not survive. And there is always
    as much room as before: what comes meanwhile starts at once.
    """
    with worker(concurrency=1, processes=2) as process:
        before = children_of(process)
        running = [tasks.work.delay(tag, HELD) for tag in ("one", "two")]
        ledger.wait_for("start", "one", "two")
        process.signal(signal.SIGUSR2)
        process.wait_for_log("Replacing the child processes one by one")
        seen: list[set[str]] = []
        late = None
        while not (seen and len(seen[-1]) == 2 and not seen[-1] & before):
            seen.append(children_of(process))
            if late is None and len(seen[-1]) == 3:
                late = tasks.work.delay("late", 0.0)
                assert late.get(20) == "late"
                for tag in ("one", "two"):
                    ledger.release(tag)
            time.sleep(0.01)
            assert len(seen) < 3000, (before, seen[-1])
        assert late is not None
        assert [one.get(20) for one in running] == ["one", "two"]
    assert {len(one) for one in seen} <= {2, 3}, "nobody left before another was there, and one at a time"
    assert [ledger.count("start", tag) for tag in ("one", "two", "late")] == [1, 1, 1]


def test_hup_replaces_what_a_rolling_replacement_has_left(tasks: Any, worker: Any, ledger: Ledger) -> None:
    """A child that runs for an hour must not hold a deploy back."""
    with worker(concurrency=1, processes=2) as process:
        before = children_of(process)
        running = [tasks.work.delay(tag, HELD) for tag in ("one", "two")]
        ledger.wait_for("start", "one", "two")
        process.signal(signal.SIGUSR2)
        wait_until(lambda: len(children_of(process)) == 3, description="the first is being replaced")
        process.signal(signal.SIGHUP)
        wait_until(lambda: len(children_of(process) - before) >= 2, description="the others are, too")
        for tag in ("one", "two"):
            ledger.release(tag)
        assert [one.get(20) for one in running] == ["one", "two"]


def test_hup_serves_a_queue_that_a_new_task_names(
    valkey: Server, queue: str, project: Path, ledger: Ledger
) -> None:
    """The children were replaced and knew the task; nobody took anything from its queue until the worker was restarted."""

    def write(*queues: str) -> None:
        tasks = "".join(
            f"@app.task(name='at{n}', queue={name!r})\ndef at{n}() -> str:\n    return 'at{n}'\n"
            for n, name in enumerate(queues)
        )
        (project / "shop.py").write_text(
            f"from taskflow import TaskFlow\napp = TaskFlow('shop', retention=60)\n{tasks}"
        )

    client = TaskFlow("client", broker=valkey.url, retention=60)
    client.task(name="at1", queue=f"{queue}-new")(lambda: "")
    write(queue)
    with WorkerProcess("shop", directory=project, broker=valkey.url, concurrency=2) as process:
        result = client.tasks["at1"].delay()
        write(queue, f"{queue}-new")
        process.signal(signal.SIGHUP)
        process.wait_for_log(f"Serving queue {queue}-new")
        assert result.get(25) == "at1"
        # Twice in a row: as many children as before.
        for _ in range(2):
            process.signal(signal.SIGHUP)
        assert client.tasks["at1"].delay().get(25) == "at1"
    client.close()


def test_stacks_are_a_block_of_each_child_with_its_coroutines(
    tasks: Any, worker: Any, ledger: Ledger
) -> None:
    """The children wrote at the same time, line by line between each other's, and of threads only."""
    with worker(concurrency=2, processes=2) as process:
        results = [tasks.work.delay("t0", HELD), tasks.async_work.delay("c0", HELD)]
        ledger.wait_for("start", "t0", "c0")
        process.signal(signal.SIGUSR1)
        process.wait_for_log(lambda line: line.endswith("in async_work"))
        process.wait_for_log(lambda line: line.endswith("in work"))
        for tag, result in zip(("t0", "c0"), results, strict=True):
            ledger.release(tag)
            result.get(20)
        lines = process.log
    heads = [number for number, line in enumerate(lines) if "Stacks of child" in line]
    assert len(heads) == 2
    for head in heads:
        block = lines[
            head + 1 : next((n for n in range(head + 1, len(lines)) if " worker[" in lines[n]), None)
        ]
        assert "Thread MainThread" in block


def test_a_child_that_holds_the_interpreter_is_named_when_stacks_are_asked_for(
    hurt: Any, hurt_worker: Any, ledger: Ledger
) -> None:
    """It cannot answer; that is said, with the way to see where it stands."""
    with hurt_worker(concurrency=1, timings=Timings(answer=0.5)) as process:
        holder = hurt.hold_gil.delay("holder", HELD)
        ledger.wait_for("start", "holder")
        process.signal(signal.SIGUSR1)
        process.wait_for_log("does not say where it stands")
        ledger.release("holder")
        assert holder.get(25) == "holder"


def test_a_child_survives_a_burst_of_signals(hurt: Any, hurt_worker: Any, ledger: Ledger) -> None:
    """All at one moment, as after a pause: with `faulthandler` registered for a signal, their handlers shared a stack of 16 KB,
    and the child ended by SIGSEGV.
    """
    with hurt_worker(concurrency=1):
        hurt.work.delay("before").get(25)
        (child,) = ledger.pids("before")
        names = ("STOP", "INT", "TERM", "HUP", "TSTP", "USR1", "USR2", "QUIT", "TTIN", "TTOU", "CONT")
        for name in names:
            os.kill(child, getattr(signal, f"SIG{name}"))
        hurt.work.delay("after").get(25)
        assert ledger.pids("after") == [child]


def test_a_second_term_in_solo_hands_back_and_ends_as_any_worker(
    tasks: Any, worker: Any, ledger: Ledger
) -> None:
    """The task in the main thread got an exception that was ours, its failure was logged, and the worker ended with 1."""
    with worker(concurrency=1, pool="solo", grace=100) as process:
        slow = tasks.work.delay("slow", 60.0)
        ledger.wait_for("start", "slow")
        process.signal(signal.SIGTERM)
        process.wait_for_log("Stopping: running tasks have 100 s")
        process.signal(signal.SIGTERM)
        assert process.wait(25) == 0
        assert not [line for line in process.log if " failed " in line]
    assert slow.state is State.PENDING


def test_solo_goes_on_after_a_task_over_its_hard_limit(tasks: Any, worker: Any, ledger: Ledger) -> None:
    """A long breakpoint is one. Nothing can end the task, and nothing was taken any more when it had ended by itself. HUP ended
    the process.
    """
    with worker(concurrency=1, pool="solo") as process:
        process.signal(signal.SIGHUP)
        process.wait_for_log("your code is part of this process")
        long = tasks.swallow.options(timeout=1, hard_timeout=2).delay("long", HELD)
        after = tasks.work.delay("after")
        process.wait_for_log("is over its hard time limit, and -P solo cannot end it")
        ledger.release("long")
        assert after.get(25) == "after"
        assert long.get(20) == "long"
    assert ledger.count("start", "long") == 1

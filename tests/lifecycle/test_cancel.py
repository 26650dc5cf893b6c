"""A task that is cancelled ends and is never run again: whatever it does itself, and whatever becomes of its worker."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from taskflow import CancelOutcome, State
from taskflow.broker.commands.cancel import cancel
from taskflow.broker.keys import queue_keys
from taskflow.errors import TaskFailed
from taskflow.inspector import Inspector
from taskflow.worker.timings import Timings
from tests.lifecycle.conftest import Ledger
from tests.lifecycle.held import HELD
from tests.servers import Server, wait_until


@pytest.fixture
def tasks(tasks: Any, valkey: Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module's tasks, for somebody who may cancel them."""
    monkeypatch.setenv("TASKFLOW_BROKER", valkey.url_as("canceller"))
    return tasks


QUICK = Timings(lease=2, lease_extension=0.3, trial=1, recover=0.3)


def check_cancelled(result: Any) -> None:
    """It is archived as cancelled, without a retry."""
    with pytest.raises(TaskFailed) as failure:
        result.get(20)
    assert failure.value.text == "cancelled"
    assert (result.state, result.info().retried) == (State.ARCHIVED, 0)
    assert result.cancel() is CancelOutcome.ENDED


@pytest.mark.parametrize(
    ("name", "pool"),
    [("swallow", "threads"), ("async_work", "threads"), ("work", "processes")],
    ids=["in a thread", "a coroutine", "in a blocking call"],
)
def test_a_running_task_is_cancelled_by_its_handle(
    tasks: Any, worker: Any, ledger: Ledger, name: str, pool: str
) -> None:
    with worker(concurrency=2, pool=pool):
        result = getattr(tasks, name).options(max_retries=5).delay(name, 60)
        ledger.wait_for("start", name)
        began = time.monotonic()
        assert result.cancel() is CancelOutcome.ASKED
        check_cancelled(result)
        assert time.monotonic() - began < 5
        assert ledger.count("start", name) == 1


def test_a_worker_is_told_at_once(tasks: Any, worker: Any, ledger: Ledger) -> None:
    """It reads the marks when it begins to listen, and then only every 20 s: so the second one it has heard."""
    with worker(concurrency=2, timings=Timings(lease=30, lease_extension=20.0, trial=20)):
        for tag in ("first", "second"):
            result = tasks.swallow.options(max_retries=5).delay(tag, 60)
            ledger.wait_for("start", tag)
            began = time.monotonic()
            assert result.cancel() is CancelOutcome.ASKED
            check_cancelled(result)
            assert time.monotonic() - began < 5


def lose_the_message(broker: Any, queue: str, task_id: str) -> None:
    """The mark is there, and nobody was told: as when the connection of the worker was just being opened again."""
    command = cancel(queue, [task_id])
    command.args = [
        word if word != queue_keys(queue).cancels else f"{word}-nobody-listens" for word in command.args
    ]
    command.first_wire = ("EVALSHA", command.script.sha, len(command.keys), *command.keys, *command.args)
    broker.run(command)


def test_a_worker_that_did_not_hear_of_it_reads_it_with_its_leases(
    tasks: Any, worker: Any, ledger: Ledger, broker: Any, queue: str
) -> None:
    with worker(concurrency=2, timings=QUICK):
        result = tasks.swallow.options(max_retries=5).delay("away", 60)
        ledger.wait_for("start", "away")
        lose_the_message(broker, queue, result.id)
        check_cancelled(result)


def test_a_worker_whose_connection_was_cut_reads_it_when_it_is_there_again(
    tasks: Any, worker: Any, ledger: Ledger, broker: Any, queue: str, raw: Any
) -> None:
    """Its leases are extended only every 20 s."""
    with worker(concurrency=2, timings=Timings(lease=30, lease_extension=20.0, trial=20)):
        result = tasks.swallow.options(max_retries=5).delay("cut", 60)
        ledger.wait_for("start", "cut")
        lose_the_message(broker, queue, result.id)
        raw.execute_command("CLIENT", "KILL", "TYPE", "PUBSUB")
        began = time.monotonic()
        check_cancelled(result)
        assert time.monotonic() - began < 10


def test_what_a_dead_worker_was_running_is_not_run_again(
    tasks: Any, worker: Any, ledger: Ledger, queue: str
) -> None:
    """It swallows the cancel, its worker dies, and whoever finds what is left of that archives it."""
    with worker(concurrency=2, timings=QUICK) as process:
        result = tasks.stubborn.delay("dead", 60)
        ledger.wait_for("start", "dead")
        assert result.cancel() is CancelOutcome.ASKED
        ledger.wait_for("cancelled", "dead")
        process.kill()
    with worker(concurrency=2, timings=QUICK):
        check_cancelled(result)
    assert ledger.count("start", "dead") == 1


def test_what_a_worker_hands_back_at_its_stop_is_not_run_again(
    tasks: Any, worker: Any, ledger: Ledger, queue: str
) -> None:
    with worker(concurrency=2, grace=0) as process:
        result = tasks.stubborn.delay("stop", 60)
        ledger.wait_for("start", "stop")
        assert result.cancel() is CancelOutcome.ASKED
        ledger.wait_for("cancelled", "stop")
        process.terminate()
        check_cancelled(result)


@pytest.mark.parametrize("pool", ["threads", "processes"])
def test_terminate_ends_a_task_that_goes_on_and_no_other(
    tasks: Any, worker: Any, ledger: Ledger, broker: Any, queue: str, pool: str
) -> None:
    """Its process is killed after the grace. That is no crash of its own, and its neighbour runs to its end."""
    with worker(concurrency=2, pool=pool, grace=1) as process:
        result, neighbour = (
            tasks.stubborn.delay("end", 60),
            tasks.work.options(max_retries=0).delay("beside", 2.0),
        )
        ledger.wait_for("start", "end", "beside")
        assert result.cancel(terminate=0.3) is CancelOutcome.ASKED
        check_cancelled(result)
        assert neighbour.get(20) == "beside"
        assert Inspector(broker).task(queue, result.id).crashes == 0
        process.wait_for_log("was cancelled")
    assert ledger.count("start", "end") == 1


def test_terminate_ends_a_task_in_a_child_that_was_replaced(tasks: Any, worker: Any, ledger: Ledger) -> None:
    """Such a child ends when what it runs has ended: until its last neighbour had, nothing ended this one, nor a hard limit."""
    with worker(concurrency=2, grace=1) as process:
        result = tasks.stubborn.delay("old", 60)
        neighbour = tasks.work.options(max_retries=0).delay("beside", 60)
        ledger.wait_for("start", "old", "beside")
        process.signal(signal.SIGHUP)
        assert tasks.work.delay("new").get(20) == "new"
        assert result.cancel(terminate=0) is CancelOutcome.ASKED
        check_cancelled(result)
        assert neighbour.cancel() is not CancelOutcome.ENDED


def test_a_task_that_is_quicker_than_its_cancel_has_its_result(
    tasks: Any, worker: Any, ledger: Ledger
) -> None:
    """And it can tell that somebody wanted it to end."""
    with worker(concurrency=2):
        result = tasks.stubborn.delay("quick", HELD)
        ledger.wait_for("start", "quick")
        assert result.cancel() is CancelOutcome.ASKED
        ledger.wait_for("cancelled", "quick")
        ledger.release("quick")
        assert result.get(20) is True


def test_what_waits_is_never_started(tasks: Any, worker: Any, ledger: Ledger, queue: str) -> None:
    app = tasks.app
    waiting = [tasks.work.delay(f"w{number}") for number in range(3)]
    later = tasks.work.options(delay=0.5).delay("later")
    kept = tasks.async_work.delay("kept")
    assert waiting[0].revoke() is CancelOutcome.CANCELLED
    counts = app.cancel(queue=queue, name="*app.work")
    assert (counts.cancelled, counts.asked, counts.ended) == (3, 0, 0)
    with worker(concurrency=2):
        assert kept.get(20) == "kept"
        wait_until(lambda: later.ready(), description="the verdict")
        for result in [*waiting, later]:
            check_cancelled(result)
    assert [line[1] for line in ledger.lines() if line[0] == "start"] == ["kept"]

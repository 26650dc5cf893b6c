"""A child whose process lives and which does not get on with what waits for it is replaced; one that is merely busy is not."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from typing import Any

import pytest

from taskflow.worker.timings import Timings
from tests.lifecycle.conftest import Ledger
from tests.lifecycle.held import HELD
from tests.servers import free_port, wait_until

IMPATIENT = Timings(ask=0.2, complain=0.4, stuck=1.0)


@pytest.mark.parametrize("how", ["end_the_loop", "block_the_loop"])
def test_coroutines_go_on_when_something_left_behind_has_the_loop(
    hurt: Any, hurt_worker: Any, ledger: Ledger, how: str
) -> None:
    """A task left an asyncio task behind that called `sys.exit()` (or that blocked): no coroutine of this child ran again. Each
    was taken and handed back five times a second, without an error and with green health. (procrastinate-org/procrastinate#493)
    """
    port = free_port()
    with hurt_worker(timings=IMPATIENT, concurrency=4, health_port=port) as process:
        getattr(hurt, how).delay().get(25)
        ledger.wait_for("gone", "loop")
        result = hurt.async_work.delay("next")
        if how == "block_the_loop":
            wait_until(lambda: "its event loop has not answered" in _why(port), description="health is red")
        assert result.get(25) == "next"
        wait_until(lambda: not _why(port), description="health is green again")
        said = [line for line in process.log if " is replaced: " in line]
    # What ended can be run again; what is blocked needs another process.
    assert len(said) == (1 if how == "block_the_loop" else 0)
    assert all("its event loop has not answered for" in line for line in said)
    assert ledger.count("start", "next") == 1


def test_functions_go_on_when_the_threads_have_ended(hurt: Any, hurt_worker: Any, ledger: Ledger) -> None:
    """Threads that wait for tasks were ended by an exception that nobody expected; whoever calls them waits for ever."""
    with hurt_worker(timings=IMPATIENT, concurrency=4):
        hurt.end_the_threads.delay().get(25)
        ledger.wait_for("gone", "threads")
        for number in range(8):
            assert hurt.work.delay(f"n{number}").get(25) == f"n{number}"
    assert all(ledger.count("start", f"n{number}") == 1 for number in range(8))


def test_tasks_go_on_when_a_child_was_stopped(hurt: Any, hurt_worker: Any, ledger: Ledger) -> None:
    """SIGSTOP, a debugger, a frozen cgroup: the process is there, its socket is open, and it reads nothing. All its slots are
    full: what it runs keeps its limits, and ends where it began when the child goes on.
    """
    with hurt_worker(timings=IMPATIENT, concurrency=2) as process:
        running = [hurt.work.delay(f"r{number}", HELD) for number in range(2)]
        ledger.wait_for("start", "r0", "r1")
        child = ledger.pids("r0")[0]
        os.kill(child, signal.SIGSTOP)
        try:
            assert hurt.work.delay("next").get(25) == "next"
            process.wait_for_log(
                lambda line: "is replaced: it has read nothing" in line and "stopped by a signal" in line
            )
        finally:
            os.kill(child, signal.SIGCONT)
        for number in range(2):
            ledger.release(f"r{number}")
        assert [result.get(25) for result in running] == ["r0", "r1"]
        wait_until(lambda: not _exists(child), description="the old child ends with its tasks")
    assert ledger.count("start", "r0") == ledger.count("start", "r1") == 1


def test_a_call_that_holds_the_interpreter_does_not_hold_up_the_others(
    hurt: Any, hurt_worker: Any, ledger: Ledger
) -> None:
    """No thread of the child runs meanwhile, so a second child takes what waits. The call itself goes on to its end."""
    with hurt_worker(timings=IMPATIENT, concurrency=2) as process:
        holder = hurt.hold_gil.delay("holder", HELD)
        ledger.wait_for("start", "holder")
        assert hurt.work.delay("next").get(25) == "next"
        ledger.release("holder")
        assert holder.get(25) == "holder"
        # Or its reader has just answered, that a task waits for a thread, when the call began.
        process.wait_for_log(
            lambda line: (
                "is replaced: it has read nothing" in line
                or "is replaced: none of its threads has taken" in line
            )
        )
    assert ledger.count("start", "holder") == 1


def test_a_child_that_is_busy_in_all_its_slots_is_left_alone(
    hurt: Any, hurt_worker: Any, ledger: Ledger
) -> None:
    """It may hold the interpreter for minutes: nothing more could be expected of it, whatever waits in the queue."""
    with hurt_worker(timings=IMPATIENT, concurrency=1, pool="processes") as process:
        holder = hurt.hold_gil.delay("holder", 3.0)
        ledger.wait_for("start", "holder")
        waiting = hurt.work.delay("waiting")
        assert holder.get(25) == "holder"
        assert waiting.get(25) == "waiting"
        assert not [line for line in process.log if " is replaced: " in line]
    assert ledger.pids("waiting") == ledger.pids("holder")


def _why(port: int) -> str:
    """What health says is wrong."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
            return ""
    except urllib.error.HTTPError as error:
        with error:
            return str(json.load(error)["why"])


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

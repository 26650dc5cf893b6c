"""The child's pools: threads are called as they are needed, and share their slots with the event loop."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from taskflow import TaskFlow, current_task
from taskflow.message.outcome import Outcome
from taskflow.message.task_message import TaskMessage
from taskflow.pipe import frames, shared_marks
from taskflow.runner.pool.loop import LoopPool
from taskflow.runner.pool.slots import PoolSlots
from taskflow.runner.pool.threads import ThreadPool
from taskflow.tasks.attempt import Attempt
from taskflow.tasks.run import Pipeline
from tests.servers import wait_until
from tests.worker.attempts import end_threads
from tests.workers import ROOT

pytestmark = pytest.mark.filterwarnings(
    "ignore:(?s).*SystemExit:pytest.PytestUnhandledThreadExceptionWarning"  # see end_threads
)

app = TaskFlow("pools", broker="redis://127.0.0.1:1")
gate = threading.Event()
meeting = threading.Barrier(5)
seen: list[str] = []


@app.task(name="quick")
def quick() -> None:
    seen.append(threading.current_thread().name)


@app.task(name="blocked")
def blocked() -> None:
    gate.wait(10)


@app.task(name="meet")
def meet() -> None:
    """Ends only when as many run at once as there are slots."""
    meeting.wait(5)


@app.task(name="aquick")
async def aquick() -> None:
    seen.append("loop")


@app.task(name="who")
def who() -> None:
    seen.append(current_task().id)


class Pools:
    """Both pools of a child with five slots, without a socket."""

    def __init__(self) -> None:
        memory = shared_marks.create()
        self.marks = shared_marks.SharedMarks(memory, 5)
        os.close(memory)
        self.outcomes: list[Outcome] = []
        self.pipeline = Pipeline(app.tasks)
        self.slots = PoolSlots(self.marks, 5)
        parts = (self.pipeline, self.slots, self.outcomes.append, lambda number: None)
        self.threads = ThreadPool(5, *parts)
        self.loop = LoopPool(*parts)
        self._number = 0

    def submit(self, name: str, count: int = 1) -> None:
        for _ in range(count):
            self._number += 1
            number, task_id = self._number, f"t{self._number}"
            message = TaskMessage(type=name, payload=None, id=task_id, queue="q", timeout=60).encode()
            self.marks.expect(number)
            attempt = self.pipeline.receive(frames.Job(number, "q", task_id.encode(), message))
            assert isinstance(attempt, Attempt)
            (self.loop if attempt.plan.task.is_async else self.threads).submit(attempt)

    def wait_for(self, count: int) -> None:
        wait_until(lambda: len(self.outcomes) == count, description=f"{count} outcomes", timeout=10)
        assert {outcome.verb for outcome in self.outcomes} == {"d"}


@pytest.fixture
def pools() -> Iterator[Pools]:
    gate.clear()
    meeting.reset()
    seen.clear()
    pools = Pools()
    yield pools
    gate.set()
    end_threads(pools.threads)
    loop = pools.loop._loop
    if loop is not None:
        pools.loop.close()
        wait_until(loop.is_closed, description="the loop ends")
    pools.marks.close()


def free(pools: Pools) -> int:
    return pools.slots._free.qsize()


def test_as_many_run_at_once_as_there_are_slots(pools: Pools) -> None:
    for rounds in range(1, 4):
        pools.submit("meet", 5)
        pools.wait_for(5 * rounds)


def test_what_waits_behind_a_blocked_task_is_run_by_others(pools: Pools) -> None:
    pools.submit("blocked", 4)
    pools.submit("quick", 200)
    pools.wait_for(200)
    gate.set()
    pools.wait_for(204)


def test_one_after_the_other_needs_one_thread(pools: Pools) -> None:
    for count in range(1, 30):
        pools.submit("quick")
        pools.wait_for(count)
        wait_until(lambda: pools.threads._idle == len(pools.threads._threads), description="all are idle")
    assert set(seen) == {"taskflow-0"}


def test_quick_tasks_do_not_call_every_thread_for_every_task(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the pace rests on: a call costs several times what a quick task does."""
    calls: list[None] = []
    call: Callable[[], None] = pools.threads._call
    monkeypatch.setattr(pools.threads, "_call", lambda: (calls.append(None), call()))
    pools.submit("quick", 20_000)
    pools.wait_for(20_000)
    assert len(calls) < 4000


def test_all_slots_are_free_again(pools: Pools) -> None:
    for name in ("quick", "aquick", "quick", "aquick"):
        pools.submit(name, 50)
    pools.wait_for(200)
    wait_until(lambda: free(pools) == 5, description="five free slots")
    assert list(pools.marks.running()) == []


@pytest.mark.parametrize(("many", "few"), [("quick", "aquick"), ("aquick", "quick")])
def test_neither_functions_nor_coroutines_starve_the_others(pools: Pools, many: str, few: str) -> None:
    """There is more than enough to do for one kind when slots become free: for longer than a thread waits for a processor."""
    count = 40_000
    pools.submit("blocked", 5)
    wait_until(lambda: free(pools) == 0, description="no free slot")
    pools.submit(many, count)
    pools.submit(few, 5)
    wait_until(lambda: pools.slots.wanted, description="the loop wants a slot")
    gate.set()
    pools.wait_for(count + 10)
    of_the_few = [at for at, name in enumerate(seen) if (name == "loop") == (few == "aquick")]
    assert len(of_the_few) == 5
    assert of_the_few[-1] < count - 100, "they had to wait until nothing else was left"


def test_a_coroutine_is_not_forgotten_when_a_slot_becomes_free_at_that_moment(pools: Pools) -> None:
    for count in range(1, 300):
        pools.submit("quick", 5)
        pools.submit("aquick", 1)
        pools.wait_for(6 * count)


def test_the_running_task_is_known_by_its_own_id_when_messages_are_alike(pools: Pools) -> None:
    pools.submit("who", 3)
    pools.wait_for(3)
    assert sorted(seen) == ["t1", "t2", "t3"]


def test_a_job_that_was_recalled_is_not_run(pools: Pools) -> None:
    pools.submit("blocked", 5)
    wait_until(lambda: len(list(pools.marks.running())) == 5, description="a task in every slot")
    pools.marks.recall(pools._number + 3)
    pools.submit("quick", 2)
    gate.set()
    pools.wait_for(5)
    time.sleep(0.05)
    assert seen == []


LATE_SIGNAL = """
import signal, threading, time
from taskflow import TaskFlow
from tests.worker.attempts import Attempts

class Heard(BaseException): ...

def heard(number, frame):
    raise Heard

def send():
    # To this thread and not to the main one, whose wait so goes on: as if it had come just before that began.
    time.sleep(0.3)
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

signal.signal(signal.SIGUSR1, heard)
pool = Attempts(TaskFlow("signals", broker="redis://127.0.0.1:1")).threads
threading.Thread(target=send, daemon=True).start()
try:
    pool.lend(by_signal=False)()
except Heard:
    print("heard")
"""


def test_a_signal_that_comes_just_before_the_main_thread_waits_is_heard() -> None:
    """With `-P solo`, of a quick TSTP, HUP and CONT the last ones were heard with the next signal only."""
    done = subprocess.run(
        [sys.executable, "-c", LATE_SIGNAL], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert done.stdout == "heard\n", done.stderr

"""A job that is cancelled while it waits in its child is not started; one that runs hears of it before anything is raised."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from taskflow import TaskFlow, current_task
from taskflow.errors import TaskCancelled
from taskflow.message.outcome import Outcome
from taskflow.message.task_message import TaskMessage
from taskflow.states import Verb
from taskflow.telemetry import events
from tests.servers import wait_until
from tests.worker.attempts import Attempts, attempts

pytestmark = pytest.mark.filterwarnings(
    "ignore:(?s).*SystemExit:pytest.PytestUnhandledThreadExceptionWarning"  # how the pools' threads are ended
)

app = TaskFlow("cancels", broker="redis://127.0.0.1:1")
gate = threading.Event()
started: list[str] = []
seen: list[bool] = []


@app.task(name="holds")
def holds() -> None:
    gate.wait(10)


@app.task(name="quick", max_retries=5)
def quick() -> None:
    started.append("quick")


@app.task(name="aquick", max_retries=5)
async def aquick() -> None:
    started.append("aquick")


@app.task(name="notices")
def notices() -> None:
    try:
        while True:
            time.sleep(0.001)
    except TaskCancelled:
        seen.append(current_task().cancelled)
        raise


@pytest.fixture
def pools() -> Iterator[Attempts]:
    gate.clear()
    started.clear()
    seen.clear()
    with attempts(app, slots=1) as pools:
        yield pools
        gate.set()


def check(outcome: Outcome) -> None:
    assert outcome.verb == Verb.ARCHIVE
    message = TaskMessage.decode(outcome.message)
    assert (message.error_msg, message.retried) == ("cancelled", 0)


@pytest.mark.parametrize("name", ["quick", "aquick"])
def test_what_has_not_started_does_not(pools: Attempts, name: str) -> None:
    """The order came while the only slot was busy, and found nothing that ran: the task ran, all of it, when it was its turn."""
    told: list[events.Event] = []
    detach = events.attach(told.append, [events.Started, events.Cancelled])
    try:
        first = pools.start("holds")
        wait_until(lambda: pools.marks.has_started(first), description="the first has started")
        # Not before: the two pools share the slot, and the quicker one takes it.
        second = pools.start(name, max_retries=5)
        pools.cancel(second)
        gate.set()
        check(pools.outcome(second))
        wait_until(
            lambda: any(isinstance(event, events.Cancelled) for event in told), description="it is told"
        )
    finally:
        detach()
    assert started == []
    assert [type(event) for event in told] == [events.Started, events.Cancelled]
    assert pools.outcome(first).verb == Verb.DONE
    assert pools.run("quick").verb == Verb.DONE, "and the next one is not meant"


def test_a_task_knows_that_it_is_cancelled_when_that_is_raised(pools: Attempts) -> None:
    number = pools.start("notices")
    wait_until(lambda: pools.marks.has_started(number), description="it has started")
    pools.cancel(number)
    check(pools.outcome(number))
    assert seen == [True]


def test_a_cancel_that_comes_between_the_first_look_and_the_thread_is_seen(pools: Attempts) -> None:
    """The thread had looked, and could not be found yet: nothing was ever raised in it."""
    desk = pools.pipeline.desk
    start = pools.pipeline._start

    def late(attempt: object) -> object:
        verdict = start(attempt)  # type: ignore[arg-type]
        desk.cancel(attempt.job.number)  # type: ignore[attr-defined]
        return verdict

    pools.pipeline._start = late  # type: ignore[method-assign, assignment]
    check(pools.outcome(pools.start("quick", max_retries=5)))
    assert started == []

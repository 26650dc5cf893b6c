"""A slot is given back, and a verdict comes, whenever a task is cancelled."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from taskflow import TaskFlow
from taskflow.message.outcome import Outcome
from taskflow.message.task_message import TaskMessage
from taskflow.pipe import frames, shared_marks
from taskflow.runner.pool.loop import LoopPool
from taskflow.runner.pool.slots import PoolSlots
from taskflow.states import Verb
from taskflow.tasks.attempt import Attempt
from taskflow.tasks.run import Pipeline
from tests.servers import wait_until

app = TaskFlow("cancelled", broker="redis://127.0.0.1:1")


@app.task(name="sleepy", max_retries=0)
async def sleepy() -> None:
    await asyncio.sleep(600)


class Pool:
    """A loop with one slot, and the outcomes that come from it."""

    def __init__(self) -> None:
        memory = shared_marks.create()
        self.marks = shared_marks.SharedMarks(memory, 1)
        os.close(memory)
        self.slots = PoolSlots(self.marks, 1)
        self.outcomes: list[Outcome] = []
        self.pipeline = Pipeline(app.tasks)
        self.loop = LoopPool(self.pipeline, self.slots, self.outcomes.append, lambda number: None)

    def submit(self, number: int) -> None:
        message = TaskMessage(
            type="sleepy", payload=b"{}", id=f"t{number}", queue="q", max_retries=0, timeout=60
        )
        self.marks.expect(number)
        attempt = self.pipeline.receive(
            frames.Job(number, "q", f"t{number}".encode(), message.encode(), "", 0)
        )
        assert isinstance(attempt, Attempt)
        self.loop.submit(attempt)

    def wait_for(self, count: int) -> None:
        wait_until(lambda: len(self.outcomes) == count, description=f"{count} outcomes", timeout=3)


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    loop = pool.loop._loop
    assert loop is not None
    pool.loop.close()
    wait_until(loop.is_closed, description="the loop ends")
    pool.marks.close()


def test_a_coroutine_that_is_cancelled_before_its_first_step_gives_its_slot_back(pool: Pool) -> None:
    """The order to cancel comes right behind the job. Found by the soak: each such task kept its slot for ever and got no
    verdict, until the worker had none left and took nothing more, in good health.
    """
    for number in range(1, 20):
        pool.submit(number)
        pool.loop.cancel(number)
        if number == 1:  # the loop had to be started first: the order may have come before the job
            pool.loop.cancel(1)
        pool.wait_for(number)
    assert {outcome.verb for outcome in pool.outcomes} == {Verb.ARCHIVE}
    assert pool.slots.try_take() is not None

"""Soft limits on an event loop: one timer for all that runs there."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextvars import Context, ContextVar

from taskflow import TaskFlow
from taskflow.errors import TaskTimeout
from taskflow.message.task_message import TaskMessage
from taskflow.pipe.frames import Job
from taskflow.tasks.attempt import Attempt, Plan
from taskflow.tasks.on_loop import LoopCall, LoopLimits
from taskflow.tasks.task_reports import ReportDesk
from taskflow.telemetry.counts import Tallies

app = TaskFlow("limits", broker="redis://127.0.0.1:1")

kept: ContextVar[object] = ContextVar("kept")
told: list[str] = []


@app.task(name="sleep")
async def sleep(name: str, seconds: float) -> None:
    try:
        await asyncio.sleep(seconds)
        told.append(f"{name} ended")
    except TaskTimeout:
        told.append(f"{name} was late")
        await asyncio.sleep(0.05)  # once is enough
        told.append(f"{name} cleaned up")
        raise


class Thing:
    """What is in a context variable when a task starts: `current_task()` with its arguments, or what a listener has put there."""


@app.task(name="leave")
async def leave() -> None: ...


things: list[weakref.ref[Thing]] = []


async def run(limits: LoopLimits, task: str, soft: float, *, number: int = 1, **kwargs: object) -> None:
    """One attempt, with a limit of so many seconds."""
    name = str(kwargs.get("name", task))
    message = TaskMessage(type=task, payload=None, id=name, queue="q", timeout=1)
    plan = Plan(app.get_task(task), message, soft, soft, Tallies().of(task), ReportDesk())
    attempt = Attempt(Job(number, "q", name.encode(), b""), plan, None)
    attempt.kwargs = kwargs
    calls = LoopCall(attempt, limits)

    async def work() -> None:
        thing = Thing()
        things.append(weakref.ref(thing))
        kept.set(thing)
        await calls.call(attempt)

    await asyncio.wait([calls.start(work(), Context())])
    calls.ended()


def test_each_is_late_by_its_own_limit_and_once() -> None:
    """Also one that comes later and has less time than what runs already, and one whose limit is not the first to pass."""
    told.clear()

    async def main() -> None:
        limits = LoopLimits(asyncio.get_running_loop())
        await asyncio.gather(
            run(limits, "sleep", 60, name="long", seconds=0.6),
            run(limits, "sleep", 0.3, name="middle", seconds=60),
            run(limits, "sleep", 0.1, name="short", seconds=60),
            run(limits, "sleep", 0.2, name="quick", seconds=0),
        )
        limits.close()

    asyncio.run(main())

    ends = ["quick ended", "short was late", "short cleaned up", "middle was late", "middle cleaned up"]
    assert told == [*ends, "long ended"]


def test_two_that_run_under_one_id_are_late_each_by_its_own_limit_and_cancelled_each_alone() -> None:
    """Two queues may have a task of the same id, and a child runs both: the first had no limit once the second had started, and
    a cancel of one ended both.
    """
    told.clear()

    async def main() -> None:
        limits = LoopLimits(asyncio.get_running_loop())
        await asyncio.gather(
            run(limits, "sleep", 0.1, name="twin", seconds=5),
            run(limits, "sleep", 60, name="twin", seconds=0.3),
        )
        assert told == ["twin was late", "twin cleaned up", "twin ended"]
        both = [
            asyncio.create_task(run(limits, "sleep", 60, number=number, name="twin", seconds=5))
            for number in (1, 2)
        ]
        while len(limits.running) < 2:
            await asyncio.sleep(0)
        for number in (2, 1):
            limits.cancel(number)
            await asyncio.wait_for(both[number - 1], 3)
            assert [calls.attempt.job.number for calls in limits.running] == [1][: number - 1]
        limits.close()

    asyncio.run(main())


def test_what_is_in_the_context_of_a_task_goes_with_it_while_the_timer_waits() -> None:
    """The timer was set for a task that ended at once, and kept its context for half an hour."""

    async def main() -> bool:
        limits = LoopLimits(asyncio.get_running_loop())
        await run(limits, "leave", 1800)
        gc.collect()
        gone = things[-1]() is None
        limits.close()
        return gone

    assert asyncio.run(main())

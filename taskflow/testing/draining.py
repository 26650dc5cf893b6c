"""`drain()`: runs in this process what waits, one task after the other, until nothing is due."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import Awaitable, Callable, Collection
from contextvars import Context

from ..broker.commands.dequeue import Taken, dequeue
from ..broker.commands.finish import finish
from ..broker.commands.outbox import put_there
from ..broker.sync import Broker
from ..connection.coroutines import complete
from ..errors import Cancel, DecodeError, TaskCancelled
from ..message.outcome import Outcome
from ..message.task_message import TaskMessage
from ..pipe.frames import Job
from ..states import Verb
from ..tasks import registry
from ..tasks.app import TaskFlow
from ..tasks.attempt import Attempt
from ..tasks.called_here import is_for_the_caller, on_own_loop, run_here, run_on_loop, timed_call
from ..tasks.on_loop import LoopLimits
from ..tasks.run import Pipeline
from ..worker.children.poison import MOST_CRASHES, archive_poison
from ..worker.holding.cancels import archive_cancelled, is_marked
from ..worker.holding.expiry import archive_expired
from ..worker.holding.held_tasks import Held
from .clock import hold, to_next
from .current import here
from .report import Attempted, Drained, Ending
from .upkeep import bring, join_ripe, keep_up, queue_names

MOST = 1000
"""Attempts of one `drain()`, unless it is told otherwise: tasks may enqueue each other for ever."""

Run = Callable[[Pipeline, Attempt], Awaitable[tuple[Outcome, Context]]]


def drain(
    queues: Collection[str] | None = None,
    *,
    raises: bool = True,
    with_scheduled: bool = False,
    limit: int = MOST,
) -> Drained:
    """Run what waits in the test's queues, in this process and thread, and what that enqueues, until nothing is due.

    It takes the tasks from the server as a worker does, runs them by what runs them in a worker, and writes down what became
    of them: results, retries, locks, followers. One runs after the other, the oldest first, queue by queue. A retry with a delay
    waits for its time (see `advance`); one without is run at once. Tasks whose names no app of this process knows stay where
    they are; a paused queue is left alone, as by workers.

    A coroutine task runs on an event loop of its own: `adrain` has it run on the caller's.

    Args:
        queues: which; None: all that there are.
        raises: at the end, raise what the first attempt failed with, whether it is retried or not. What a task asks for by
            itself (`raise Retry`, `Snooze`, `Cancel`) is no failure. False: only report it.
        with_scheduled: also run what waits for its time: time is advanced to each, as by `advance`, so retention passes, too.
        limit: attempts after which it gives up: tasks may enqueue each other for ever.

    Returns:
        What ran, in order.

    Raises:
        ConfigurationError: there is no sandbox. Tasks of a server that others use are not for tests to run.
        AssertionError: more than `limit` attempts; or a task failed that nothing was raised by.

    Example:
        >>> welcome.delay("ann")                                    # doctest: +SKIP
        >>> drain().names                                           # doctest: +SKIP
        ['shop.tasks.welcome']
    """
    return complete(_drain(_in_thread, queues, raises=raises, with_scheduled=with_scheduled, limit=limit))


async def adrain(
    queues: Collection[str] | None = None,
    *,
    raises: bool = True,
    with_scheduled: bool = False,
    limit: int = MOST,
) -> Drained:
    """As `drain`, from a coroutine: coroutine tasks run on its event loop. Functions run in its thread, and the loop waits."""
    limits = LoopLimits(asyncio.get_running_loop())

    async def run(pipeline: Pipeline, attempt: Attempt) -> tuple[Outcome, Context]:
        if attempt.plan.task.is_async:
            return await run_on_loop(pipeline, attempt, limits)
        return run_here(pipeline, attempt, timed_call())

    try:
        return await _drain(run, queues, raises=raises, with_scheduled=with_scheduled, limit=limit)
    finally:
        limits.close()


async def _in_thread(pipeline: Pipeline, attempt: Attempt) -> tuple[Outcome, Context]:
    """Never waits for an event loop."""
    if not attempt.plan.task.is_async:
        return run_here(pipeline, attempt, timed_call())

    async def alone() -> tuple[Outcome, Context]:
        limits = LoopLimits(asyncio.get_running_loop())
        try:
            return await run_on_loop(pipeline, attempt, limits)
        finally:
            limits.close()

    return on_own_loop(alone, attempt.plan.task.app._runner)  # type: ignore[no-any-return]


async def _drain(
    run: Run, queues: Collection[str] | None, *, raises: bool, with_scheduled: bool, limit: int
) -> Drained:
    drainer = _Drainer(here().broker, run, limit)
    try:
        while True:
            await drainer.all_due(queues)
            if not (with_scheduled and to_next(queues)):
                break
    finally:
        drainer.close()
    report = Drained(tuple(drainer.attempts))
    if raises:
        _raise_first(report)
    return report


class _Drainer:
    """Takes tasks, has them run, and writes down what became of them.

    Args:
        broker: of the test.
        run: makes an attempt.
        limit: attempts.
    """

    def __init__(self, broker: Broker, run: Run, limit: int) -> None:
        self._broker = broker
        self._run = run
        self._limit = limit
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4()}"
        self._pipelines: list[tuple[TaskFlow, Pipeline]] = []
        self._strange: list[tuple[str, Taken]] = []
        """What nobody here knows: it is held until the end, so that it is not taken again and again."""
        self.attempts: list[Attempted] = []

    async def all_due(self, queues: Collection[str] | None) -> None:
        """Run everything that is due now, and what comes of it."""
        self._look_for_apps()
        while True:
            before = len(self.attempts)
            names = queue_names(self._broker) if queues is None else list(queues)
            for app, pipeline in self._pipelines:
                join_ripe(self._broker, app, pipeline, names)
            for queue in names:
                await self._queue(queue)
            if len(self.attempts) == before:
                return

    def close(self) -> None:
        """Give back what nobody here knows, as it was."""
        for queue, taken in reversed(self._strange):
            self._broker.run(finish(queue, [(taken, Outcome(0, Verb.REQUEUE))], 0.0))
        self._strange = []

    def _look_for_apps(self) -> None:
        known = [app for app, _ in self._pipelines]
        for app in reversed(registry.apps()):
            if app not in known:
                pipeline = Pipeline(
                    app.tasks,
                    app._crypto,
                    error_text=app._error_text,
                    passes=is_for_the_caller,
                    audience=app._audience,
                )
                self._pipelines.append((app, pipeline))

    async def _queue(self, queue: str) -> None:
        while True:
            hold()
            server_time = keep_up(self._broker, queue)
            found = self._broker.run(dequeue(queue, self._owner, str(uuid.uuid4()), 1))
            if not found.tasks:
                if not found.orphans:
                    return
                continue
            (taken,) = found.tasks
            await self._task(Held(queue, taken), server_time)

    async def _task(self, held: Held, server_time: float) -> None:
        queue, taken = held.queue, held.taken
        pipeline = self._pipeline_of(taken)
        if pipeline is None:
            self._strange.append((queue, taken))
            return
        if len(self.attempts) >= self._limit:
            self._write(held, Outcome(0, Verb.REQUEUE), server_time)
            raise AssertionError(
                f"drain() has run {self._limit} attempts, and there is more: do these tasks enqueue each other for ever? "
                "drain(limit=...) allows more"
            )
        verdict = self._unfit(held, server_time)
        if verdict is not None:
            self._write(held, verdict, server_time)
            self._note(held, verdict, None)
            return
        job = Job(
            len(self.attempts) + 1,
            queue,
            taken.id.encode("utf-8", "surrogateescape"),
            taken.message,
            "",
            taken.first_failed_at,
            held.expires_at_ms,
        )
        received = pipeline.receive(job)
        if not isinstance(received, Attempt):
            self._write(held, received, server_time)
            pipeline.reporter.tell()
            self._note(held, received, None)
            return
        try:
            outcome, context = await self._run(pipeline, received)
        except BaseException:
            # What ends the test (Ctrl-C, pytest.fail()) is no verdict: the task waits, as it would if a worker was stopped.
            self._write(held, Outcome(0, Verb.REQUEUE), server_time)
            raise
        error = received.error
        self._write(held, outcome, server_time)
        pipeline.reporter.ended(received, outcome, context)
        self._note(held, outcome, error)

    def _pipeline_of(self, taken: Taken) -> Pipeline | None:
        """That of the app which knows the task; of what cannot be read, any: it is archived."""
        with contextlib.suppress(DecodeError):
            name = TaskMessage.decode(taken.message).type
            return next((pipeline for app, pipeline in self._pipelines if name in app.tasks), None)
        return next((pipeline for _, pipeline in self._pipelines), None)

    @staticmethod
    def _unfit(held: Held, now: float) -> Outcome | None:
        """The verdict on a task that is not to be run, as a worker gives it."""
        if held.taken.crashes >= MOST_CRASHES:
            return archive_poison(held, now)
        if is_marked(held):
            return archive_cancelled(held, now)
        return archive_expired(held, now) if held.taken.expires_at else None

    def _write(self, held: Held, outcome: Outcome, now: float) -> None:
        items = [(held.taken, outcome)]
        replies = self._broker.run(finish(held.queue, items, now, self._owner))
        if outcome.then:
            bring(self._broker, held.queue, put_there(items, replies), now)

    def _note(self, held: Held, outcome: Outcome, error: BaseException | None) -> None:
        name, _, _, retried = held.who()
        ending = _ending(outcome, error)
        reason = "" if outcome.attempt is None else f"{outcome.attempt.type}: {outcome.attempt.text}"
        self.attempts.append(
            Attempted(
                task=name,
                id=held.id,
                queue=held.queue,
                ending=ending,
                retried=retried,
                error=error,
                reason=reason,
                seconds=outcome.seconds,
                delay=outcome.delay if ending in (Ending.RETRIED, Ending.SNOOZED) else 0.0,
            )
        )


_ENDINGS = {
    Verb.DONE.value: Ending.SUCCEEDED,
    Verb.COMPLETE.value: Ending.SUCCEEDED,
    Verb.RETRY.value: Ending.RETRIED,
    Verb.SNOOZE.value: Ending.SNOOZED,
    Verb.PUT_BACK.value: Ending.PUT_BACK,
}


def _ending(outcome: Outcome, error: BaseException | None) -> Ending:
    if isinstance(error, Cancel | TaskCancelled):
        return Ending.CANCELLED
    kind = "" if outcome.attempt is None or error is not None else outcome.attempt.type
    not_run = {"Expired": Ending.EXPIRED, "TaskCancelled": Ending.CANCELLED}
    return _ENDINGS.get(outcome.verb) or not_run.get(kind, Ending.FAILED)


def _raise_first(report: Drained) -> None:
    wrong = [one for one in report if one.is_unexpected]
    if not wrong:
        return
    first, more = wrong[0], len(wrong) - 1
    others = f"; {more} more attempts failed" if more else ""
    what = "and is archived" if first.ending is Ending.FAILED else f"and is retried in {first.delay:g} s"
    said = f"task {first.task} ({first.id}) failed in drain() {what}{others}; drain(raises=False) only reports it"
    if first.error is None:
        raise AssertionError(f"{said}: {first.reason}")
    first.error.add_note(said)
    raise first.error

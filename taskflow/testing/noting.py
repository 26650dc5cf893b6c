"""When tasks are due, to the fraction of a second: what is stored says that of the next hour only."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from ..broker.commands.enqueue import NewTask
from ..client.bulk import EnqueueOutcome
from ..client.client import Client
from ..client.enqueueing import OnOutcomes
from ..telemetry.events import Retried, Snoozed
from ..telemetry.telling import attach
from .clock import hold
from .current import PutOff, here, stack


class NotingClient(Client):
    """What apps enqueue with in a sandbox: as ever, and it notes when each task is due."""

    def enqueue(self, task: NewTask, timeout: float) -> EnqueueOutcome:
        """As `Client.enqueue`."""
        _hold()
        outcome = super().enqueue(task, timeout)
        _note(outcome.task or task)
        return outcome

    async def aenqueue(self, task: NewTask, timeout: float) -> EnqueueOutcome:
        """As `Client.aenqueue`."""
        _hold()
        outcome = await super().aenqueue(task, timeout)
        _note(outcome.task or task)
        return outcome

    def enqueue_many(self, tasks: Iterable[NewTask], timeout: float, on_outcomes: OnOutcomes) -> None:
        """As `Client.enqueue_many`."""
        _hold()
        super().enqueue_many(tasks, timeout, _noting(on_outcomes))

    async def aenqueue_many(self, tasks: Iterable[NewTask], timeout: float, on_outcomes: OnOutcomes) -> None:
        """As `Client.aenqueue_many`."""
        _hold()
        await super().aenqueue_many(tasks, timeout, _noting(on_outcomes))


@contextmanager
def noting_retries() -> Iterator[None]:
    """Also note when what fails, or snoozes, in this process is to be run again."""
    detach = attach(_note_again, (Retried, Snoozed))
    try:
        yield
    finally:
        detach()


def _noting(on_outcomes: OnOutcomes) -> OnOutcomes:
    def note(tasks: Sequence[NewTask], outcomes: list[EnqueueOutcome]) -> None:
        for task, outcome in zip(tasks, outcomes, strict=True):
            _note(outcome.task or task)
        on_outcomes(tasks, outcomes)

    return note


def _hold() -> None:
    """What is enqueued now has not waited since time was moved last."""
    if stack:
        hold()


def _note(task: NewTask) -> None:
    terms = task.terms
    if not stack or (terms.delay is None and terms.process_at is None):
        return
    now = time.time()
    delay = terms.process_at - now if terms.process_at is not None else terms.delay or 0.0
    here().noted[task.id] = PutOff(now + delay, delay)


def _note_again(event: Retried | Snoozed) -> None:
    if stack:
        here().noted[event.id] = PutOff(time.time() + event.delay, event.delay)

"""`TaskFlow(eager=True)`: tasks run where they are enqueued, for tests, by the pipeline that runs them in a worker.

What a worker would decide of a task is decided here, from its stored message on: arguments and results go through JSON, and
through the app's keys if it has any, and what is to be retried is run again at once.
"""

from __future__ import annotations

import asyncio
import time
from contextvars import Context
from typing import Any

from ..attempts import MOST_ATTEMPTS as MOST_KEPT_ATTEMPTS
from ..attempts import attempt_line, read_attempts
from ..broker.commands.enqueue import NewTask
from ..broker.commands.read import Snapshot, error_text, error_type
from ..errors import DecodeError
from ..message.message_crypto import NO_KEYS, MessageCrypto
from ..message.outcome import Outcome
from ..message.report import Report
from ..message.task_message import TaskMessage
from ..pipe.frames import Job
from ..states import State, Verb
from ..telemetry.events import Enqueued, emit
from ..telemetry.telling import Audience
from .attempt import Attempt
from .called_here import Runner, is_for_the_caller, on_own_loop, run_here, run_on_loop, timed_call
from .eager_result import EagerClient, EagerResult, Kept
from .on_loop import LoopLimits
from .run import Pipeline
from .sender import CallMaker
from .task import BaseTask
from .verdict import ResultOf

MOST_ATTEMPTS = 1000
"""A task that fails, or snoozes, and may do so for ever ends after so many: it stays in retry, or scheduled."""

MOST_REPORTS = 10
"""Attempts of which is kept what they said: the latest."""

_STATES = {
    Verb.COMPLETE: State.COMPLETED,
    Verb.RETRY: State.RETRY,
    Verb.ARCHIVE: State.ARCHIVED,
    Verb.ARCHIVE_RAW: State.ARCHIVED,
    Verb.PUT_BACK: State.SCHEDULED,
    Verb.SNOOZE: State.SCHEDULED,
}
"""Where a task is after a verdict; one that is done is gone."""

_AGAIN = frozenset({Verb.RETRY.value, Verb.SNOOZE.value})


class Eager:
    """Runs an app's tasks in the thread, or on the event loop, of whoever enqueues them.

    Args:
        name: the app's.
        tasks: the app's tasks by name.
        crypto: what the app's keys do; None: it has none.
        error_text: as `TaskFlow` takes it.
        audience: of the app, whose listeners hear of its tasks.
        runner: how a coroutine is run from a thread, if not by `asyncio.run`.
    """

    def __init__(
        self,
        name: str,
        tasks: dict[str, BaseTask[Any, Any]],
        crypto: MessageCrypto | None,
        *,
        error_text: bool,
        audience: Audience | None = None,
        runner: Runner | None = None,
    ) -> None:
        self._client = EagerClient(name, crypto or NO_KEYS)
        self._crypto = crypto
        self._audience = audience
        self._runner = runner
        self._pipeline = Pipeline(
            tasks, crypto, error_text=error_text, passes=is_for_the_caller, audience=audience
        )
        self._kept = Kept()

    def run(self, task: CallMaker[Any, Any], new: NewTask, *, propagate: bool) -> EagerResult:
        """Run a task here, until there is a verdict.

        A coroutine runs on an event loop of its own, in a thread of its own if one runs here.

        Args:
            task: the task.
            new: the call.
            propagate: raise what it failed with, if it did.
        """
        if task.is_async:

            async def main() -> EagerResult:
                return await self.arun(task, new, propagate=propagate)

            return on_own_loop(main, self._runner)  # type: ignore[no-any-return]
        attempts = _Attempts(self._pipeline, self._stored(new))
        call = timed_call()
        while (attempt := attempts.next()) is not None:
            attempts.ended(attempt, *run_here(self._pipeline, attempt, call))
        return self._handle(attempts, task, propagate)

    async def arun(self, task: CallMaker[Any, Any], new: NewTask, *, propagate: bool) -> EagerResult:
        """As `run`, from a coroutine, whose event loop the task shares; a function runs in its thread."""
        if not task.is_async:
            return self.run(task, new, propagate=propagate)
        attempts = _Attempts(self._pipeline, self._stored(new))
        limits = LoopLimits(asyncio.get_running_loop())
        try:
            while (attempt := attempts.next()) is not None:
                attempts.ended(attempt, *await run_on_loop(self._pipeline, attempt, limits))
        finally:
            limits.close()
        return self._handle(attempts, task, propagate)

    def result(self, task_id: str, queue: str, task: ResultOf | None = None) -> EagerResult:
        """A handle on a task that has run, by its id; `queue` is "" for whichever has it."""
        return EagerResult._ran(self._client, task_id, queue, None, self._kept, task=task)

    def _stored(self, new: NewTask) -> NewTask:
        """The call as a queue would have it."""
        if Enqueued.heard:
            emit(Enqueued(new.terms.message.type, new.id, new.terms.queue, 0), self._audience)
        return new if self._crypto is None else new.closed(self._crypto)

    def _handle(self, attempts: _Attempts, task: CallMaker[Any, Any], propagate: bool) -> EagerResult:
        snapshot, error = attempts.snapshot, attempts.error
        self._kept.put(attempts.queue, attempts.id, snapshot)
        handle = EagerResult._ran(
            self._client, attempts.id, attempts.queue, snapshot, self._kept, task=task, error=error
        )
        if propagate and snapshot.state == State.ARCHIVED:
            if error is not None:
                raise error
            handle.get()
        return handle


class _Attempts:
    """The attempts at one task, one after the other, until there is a verdict.

    Args:
        pipeline: receives each.
        new: the call.
    """

    def __init__(self, pipeline: Pipeline, new: NewTask) -> None:
        self._pipeline = pipeline
        self._data = new.encoded or new.encode()
        self._expires_at_ms = _expires_at_ms(new)
        self._first_failed_at = 0.0
        self._count = 0
        self._outcome: Outcome | None = None
        self._failed: list[str] = []
        self._said: list[Report] = []
        self._said_at = 0.0
        self.queue, self.id = new.terms.queue, new.id
        self.error: BaseException | None = None
        """What the last attempt failed with."""

    def next(self) -> Attempt | None:
        """What is to be run now; None: there is a verdict."""
        while self._outcome is None or (self._outcome.verb in _AGAIN and self._count < MOST_ATTEMPTS):
            self._count += 1
            job = Job(
                0,
                self.queue,
                self.id.encode(),
                self._data,
                "",
                int(self._first_failed_at),
                self._expires_at_ms,
            )
            received = self._pipeline.receive(job)
            if isinstance(received, Attempt):
                return received
            self._note(received, None)
            self._pipeline.reporter.tell()
        return None

    def ended(self, attempt: Attempt, outcome: Outcome, own: Context) -> None:
        """An attempt has its outcome; `own` is its context."""
        self._note(outcome, attempt.error)
        self._pipeline.reporter.ended(attempt, outcome, own)

    def _note(self, outcome: Outcome, error: BaseException | None) -> None:
        self._outcome, self.error = outcome, error
        self._data = outcome.message or self._data
        if (failed := outcome.attempt) is not None:
            facts = failed.at, failed.seconds, "", failed.type, failed.module, failed.text, failed.traceback
            self._failed = [*self._failed, "".join(attempt_line(*facts))][-MOST_KEPT_ATTEMPTS:]
        if outcome.said:
            self._said = [*self._said, *outcome.said][-MOST_REPORTS:]
            self._said_at = time.time()
        if outcome.verb == Verb.RETRY:
            # Nobody sleeps for its delay, but a policy that gives up after so many seconds counts it.
            self._first_failed_at = (self._first_failed_at or time.time()) - outcome.delay
        if outcome.verb in _AGAIN:
            self._expires_at_ms = 0

    @property
    def snapshot(self) -> Snapshot:
        """What the queue would have of the task now."""
        outcome = self._outcome
        assert outcome is not None, "there is a verdict"
        try:
            message = TaskMessage.decode(self._data)
        except DecodeError:
            message = None
        state = None if outcome.failure_retention == 0 else _STATES.get(Verb(outcome.verb))
        error, attempts = error_text(outcome.error.encode()), read_attempts("\n".join(self._failed).encode())
        said = tuple(self._said)
        kind = error_type(outcome.error.encode())
        return Snapshot(state, message, outcome.result or None, error, attempts, said, self._said_at, kind)


def _expires_at_ms(new: NewTask) -> int:
    """Until when it may start, in milliseconds on the monotonic clock; 0: no matter when."""
    terms = new.terms
    if terms.expires_at is not None:
        left = terms.expires_at - time.time()
    elif terms.expires is not None:
        left = terms.expires
    else:
        return 0
    return max(1, int((time.monotonic() + left) * 1000))

"""`TaskFlow(eager=True)`: tasks run where they are enqueued, for tests, by the pipeline that runs them in a worker.

What a worker would decide of a task is decided here, from its stored message on: arguments and results go through JSON, and
through the app's keys if it has any, and what is to be retried is run again at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from typing import Any

from ..broker.commands.enqueue import NewTask
from ..broker.commands.read import Snapshot, error_text
from ..errors import DecodeError, TaskCancelled
from ..message.message_crypto import NO_KEYS, MessageCrypto
from ..message.outcome import Outcome
from ..message.task_message import TaskMessage
from ..pipe.frames import Job
from ..states import State, Verb
from .attempt import Attempt
from .eager_call import TimedCall
from .eager_result import EagerClient, EagerResult, Kept
from .on_loop import LoopCall, LoopLimits
from .run import Pipeline
from .sender import CallMaker
from .task import BaseTask

MOST_ATTEMPTS = 1000
"""A task that always fails and may always be retried ends after so many: it stays in retry."""

_STATES = {
    Verb.COMPLETE: State.COMPLETED,
    Verb.RETRY: State.RETRY,
    Verb.ARCHIVE: State.ARCHIVED,
    Verb.ARCHIVE_RAW: State.ARCHIVED,
    Verb.PUT_BACK: State.SCHEDULED,
}
"""Where a task is after a verdict; one that is done is gone."""

_OF_TASKS = (
    Exception,
    BaseExceptionGroup,
    TaskCancelled,
    SystemExit,
    GeneratorExit,
    asyncio.CancelledError,
)
"""What a task may end with. Anything else is for whoever called it: Ctrl-C, or what ends a test, as `pytest.fail()` does."""


class Eager:
    """Runs an app's tasks in the thread, or on the event loop, of whoever enqueues them.

    Args:
        name: the app's.
        tasks: the app's tasks by name.
        crypto: what the app's keys do; None: it has none.
        error_text: as `TaskFlow` takes it.
    """

    def __init__(
        self,
        name: str,
        tasks: dict[str, BaseTask[Any, Any]],
        crypto: MessageCrypto | None,
        *,
        error_text: bool,
    ) -> None:
        self._client = EagerClient(name, crypto or NO_KEYS)
        self._crypto = crypto
        self._pipeline = Pipeline(tasks, crypto, error_text=error_text, passes=_is_for_the_caller)
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
            return _on_own_loop(lambda: self.arun(task, new, propagate=propagate))  # type: ignore[no-any-return]
        attempts = _Attempts(self._pipeline, self._stored(new))
        call = TimedCall(_finish).call
        while (attempt := attempts.next()) is not None:
            own = Context()
            attempts.ended(attempt, own.run(self._pipeline.run, attempt, call), own)
        return self._handle(attempts, task, propagate)

    async def arun(self, task: CallMaker[Any, Any], new: NewTask, *, propagate: bool) -> EagerResult:
        """As `run`, from a coroutine, whose event loop the task shares; a function runs in its thread."""
        if not task.is_async:
            return self.run(task, new, propagate=propagate)
        attempts = _Attempts(self._pipeline, self._stored(new))
        limits = LoopLimits(asyncio.get_running_loop())
        try:
            while (attempt := attempts.next()) is not None:
                calls, own = LoopCall(attempt, limits), Context()
                outcome = await _alone(calls, self._pipeline.arun(attempt, calls.call), own)
                attempts.ended(attempt, outcome, own)
        finally:
            limits.close()
        return self._handle(attempts, task, propagate)

    def result(self, task_id: str, queue: str) -> EagerResult:
        """A handle on a task that has run, by its id."""
        return EagerResult(self._client, task_id, queue, self._kept)

    def _stored(self, new: NewTask) -> NewTask:
        """The call as a queue would have it."""
        return new if self._crypto is None else new.closed(self._crypto)

    def _handle(self, attempts: _Attempts, task: CallMaker[Any, Any], propagate: bool) -> EagerResult:
        snapshot, error = attempts.snapshot, attempts.error
        self._kept.put(attempts.queue, attempts.id, snapshot)
        handle = EagerResult(self._client, attempts.id, attempts.queue, snapshot, task=task, error=error)
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
        self.queue, self.id = new.terms.queue, new.id
        self.error: BaseException | None = None
        """What the last attempt failed with."""

    def next(self) -> Attempt | None:
        """What is to be run now; None: there is a verdict."""
        while self._outcome is None or (self._outcome.verb == Verb.RETRY and self._count < MOST_ATTEMPTS):
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
        if outcome.verb == Verb.RETRY:
            # Nobody sleeps for its delay, but a policy that gives up after so many seconds counts it.
            self._first_failed_at = (self._first_failed_at or time.time()) - outcome.delay
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
        state = _STATES.get(Verb(outcome.verb))
        return Snapshot(state, message, outcome.result or None, error_text(outcome.error.encode()))


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


def _is_for_the_caller(error: BaseException) -> bool:
    return not isinstance(error, _OF_TASKS)


def _finish(attempt: Attempt, awaitable: Any) -> Any:
    """Await what a function has returned, in its context and within its limit."""
    own = copy_context()

    async def main() -> tuple[Any, BaseException | None]:
        calls = LoopCall(attempt, LoopLimits(asyncio.get_running_loop()))
        return await _alone(calls, _caught(calls, awaitable), own)  # type: ignore[no-any-return]

    value, error = _on_own_loop(main)
    if error is not None:
        raise error
    return value


async def _caught(calls: LoopCall, awaitable: Any) -> tuple[Any, BaseException | None]:
    try:
        return await calls.finish(awaitable), None
    except BaseException as error:  # noqa: BLE001 - raised again where the function was called
        return None, error


async def _alone(calls: LoopCall, coroutine: Coroutine[Any, Any, Any], context: Context) -> Any:
    """What comes of an attempt in a context of its own. If whoever waits for it is cancelled, so is it."""
    task = calls.start(coroutine, context)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        calls.cancel()
        await asyncio.wait([task])
        raise
    finally:
        calls.ended()
    return task.result()


def _on_own_loop(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine on a loop of its own: in this thread, or in another if a loop runs here."""
    if not _is_loop_running():
        return asyncio.run(main())
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(main())).result()


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True

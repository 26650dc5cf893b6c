"""What happens to attempts, as events. They are told after the verdict is sent, and no listener can stop anything."""

from __future__ import annotations

from ..errors import MessageError, TaskCancelled, TaskTimeout
from ..message.outcome import Outcome
from ..message.task_message import TaskMessage
from ..pipe.frames import Job
from ..states import Verb
from ..telemetry import events
from ..telemetry.events import emit
from ..telemetry.traces import kind_of
from .attempt import Attempt, stored_id


def received(attempt: Attempt) -> None:
    """It can be run."""
    if events.Received.heard:
        kind = attempt.plan.message
        emit(events.Received(kind.type, attempt.id, attempt.job.queue, kind.retried))


def ended(attempt: Attempt, outcome: Outcome) -> None:
    """An attempt that has run has its outcome."""
    error = attempt.error
    if error is None:
        if events.Succeeded.heard and attempt.returned:
            kind = attempt.plan.message
            emit(events.Succeeded(kind.type, attempt.id, attempt.job.queue, kind.retried, outcome.seconds))
        return
    attempt.error = None  # its frames refer to the attempt
    failed(attempt.job, attempt.message, attempt.plan.task._source, error, outcome, ran=attempt.returned)


def failed(
    job: Job, message: TaskMessage, source: str, error: BaseException, outcome: Outcome, *, ran: bool = False
) -> None:
    """An attempt failed.

    Args:
        job: its job.
        message: its message.
        source: the file of the task's function.
        error: what it failed with.
        outcome: what becomes of it.
        ran: whether the task returned, and what it returned is the trouble.
    """
    who = (message.type, stored_id(job), job.queue, message.retried)
    if isinstance(error, TaskCancelled) and events.Cancelled.heard:
        emit(events.Cancelled(*who))
    elif isinstance(error, TaskTimeout) and events.TimedOut.heard:
        emit(events.TimedOut(*who))
    if outcome.verb == Verb.RETRY:
        if events.Retried.heard:
            emit(events.Retried(*who, outcome.seconds, error, outcome.at, source))
        return
    kind = events.ResultLost if ran else events.Archived
    if kind.heard:
        emit(kind(*who, outcome.seconds, error, source))


def expired(attempt: Attempt) -> None:
    """It was to start by a certain time, and did not."""
    if events.Expired.heard:
        kind = attempt.plan.message
        emit(events.Expired(kind.type, attempt.id, attempt.job.queue, kind.retried))


def put_back(job: Job, message: TaskMessage, why: str, outcome: Outcome) -> None:
    """Nobody here can run it."""
    if events.PutBack.heard:
        emit(events.PutBack(message.type, stored_id(job), job.queue, message.retried, why, outcome.at))


def refused(job: Job, message: TaskMessage, error: MessageError, count: int) -> None:
    """What was not signed by us is not even decoded."""
    kind = str(getattr(error, "reason", type(error).__name__))
    _unread(job, message, kind, str(error), count)


def unreadable(job: Job) -> None:
    """The stored bytes are no message."""
    _unread(job, None, "unreadable", "it is no message")


def unprepared(job: Job, error: BaseException) -> None:
    """Reading it failed in a way that nobody has thought of."""
    _unread(job, None, "unprepared", f"it cannot be prepared ({kind_of(error)})", error=error)


def _unread(
    job: Job,
    message: TaskMessage | None,
    kind: str,
    reason: str,
    count: int = 0,
    error: BaseException | None = None,
) -> None:
    if events.Unread.heard:
        name, retried = ("", 0) if message is None else (message.type, message.retried)
        emit(
            events.Unread(
                name, stored_id(job), job.queue, retried, error=error, kind=kind, reason=reason, count=count
            )
        )


def policy_raised(message: TaskMessage, error: BaseException) -> None:
    """A retry policy of the user's."""
    emit(events.PolicyRaised(message.type, error))


def unexpected(error: BaseException) -> None:
    """In the machinery itself: it goes on."""
    emit(events.Unexpected(error))


def left_behind(error: BaseException) -> None:
    """A coroutine that a task has left behind on the event loop failed."""
    emit(events.LeftBehind(error))


def loop_reports(text: str) -> None:
    """asyncio says something about what a task has left behind."""
    emit(events.LeftBehind(text=text))

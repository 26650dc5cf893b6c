"""The lines of the log about attempts. They are written after the verdict is sent, and none of them can stop anything."""

from __future__ import annotations

import logging

from ..errors import MessageError
from ..message.task_message import TaskMessage
from ..pipe.frames import Job, Outcome
from ..states import Verb
from ..telemetry.escape import cut
from ..telemetry.flood import Flood
from ..telemetry.logs import QUIET, ExcInfo, place, traceback_of
from ..telemetry.safe import SafeLogger
from .attempt import Attempt, stored_id
from .outcome import kind_of

logger = SafeLogger("taskflow.task")

_flood = Flood()

LONGEST_NAME = 200
"""Characters of a task's name or id in a line: others may store a megabyte."""


def received(attempt: Attempt) -> None:
    """It can be run."""
    if logger.enabled(logging.INFO):
        _write(logging.INFO, "Task %s[%s] received", attempt.plan.message, attempt.id, attempt.job.queue)


def ended(attempt: Attempt, outcome: Outcome) -> None:
    """An attempt that has run has its outcome."""
    error = attempt.error
    if error is None:
        if logger.enabled(logging.INFO):
            message, seconds = attempt.plan.message, outcome.seconds
            text = "Task %s[%s] succeeded in %.4fs"
            _write(logging.INFO, text, message, attempt.id, attempt.job.queue, seconds)
        return
    attempt.error = None  # its frames refer to the attempt
    failed(attempt.job, attempt.message, attempt.plan.task.source, error, outcome, ran=attempt.returned)


def failed(
    job: Job, message: TaskMessage, source: str, error: BaseException, outcome: Outcome, *, ran: bool = False
) -> None:
    """An attempt failed. The exception's text may hold an argument: the line has its type and place, the text is in the task.

    Args:
        job: its job.
        message: its message.
        source: the file of the task's function.
        error: what it failed with.
        outcome: what becomes of it.
        ran: whether the task returned, and what it returned is the trouble.
    """
    retried = outcome.verb == Verb.RETRY
    level = logging.WARNING if retried else logging.ERROR
    if not logger.enabled(level):
        return
    what, where = kind_of(error), place(error, source)
    if where:
        what += f" at {where}"
    values: tuple[object, ...] = ()
    if ran:
        text = "Task %s[%s] ran in %.4fs, but its return value cannot be kept: %s; archived"
    elif retried:
        text, values = "Task %s[%s] failed in %.4fs: %s; next attempt in %s", (_rounded(outcome.at),)
    else:
        text = "Task %s[%s] failed in %.4fs: %s; archived"
    trace = (type(error), error, traceback_of(error))
    _write(level, text, message, stored_id(job), job.queue, outcome.seconds, what, *values, trace=trace)


def expired(attempt: Attempt) -> None:
    """It was to start by a certain time, and did not."""
    if logger.enabled(logging.WARNING):
        text = "Task %s[%s] had not started when it expired; archived"
        _write(logging.WARNING, text, attempt.plan.message, attempt.id, attempt.job.queue)


def put_back(job: Job, message: TaskMessage, why: str, outcome: Outcome) -> None:
    """Nobody here can run it."""
    if (
        logger.enabled(logging.WARNING)
        and (behind := _flood.passes(f"put back {message.type[:LONGEST_NAME]}")) is not None
    ):
        text = "Task %s[%s] %s; put back for %s, for a worker that can run it" + behind
        _write(logging.WARNING, text, message, stored_id(job), job.queue, why, _rounded(outcome.at))


def refused(job: Job, error: MessageError, count: int) -> None:
    """What was not signed by us is not even decoded."""
    reason = getattr(error, "reason", type(error).__name__)
    if (behind := _flood.passes(f"refused {reason}")) is None:
        return
    task_id = shown(job.id)
    facts = {"id": task_id, "queue": job.queue, "reason": reason, "refused": count}
    text = "Task %s in queue %s was archived unread: %s (%d so far in this process)" + behind
    logger.error(text, task_id, job.queue, error, count, extra={"facts": facts})


def unreadable(job: Job) -> None:
    """The stored bytes are no message."""
    if (behind := _flood.passes("unreadable")) is not None:
        text = "Task %s in queue %s is unreadable and was archived" + behind
        logger.error(text, shown(job.id), job.queue)


def unprepared(job: Job, error: BaseException) -> None:
    """Reading it failed in a way that nobody has thought of."""
    if (behind := _flood.passes("unprepared")) is None:
        return
    text = "Task %s in queue %s cannot be prepared and was archived" + behind
    logger.error(text, shown(job.id), job.queue, exc_info=(type(error), error, traceback_of(error)))


def policy_raised(message: TaskMessage, error: BaseException) -> None:
    """A retry policy of the user's."""
    trace = (type(error), error, traceback_of(error))
    logger.error("The retry policy of task %s raised", _cut(message.type), exc_info=trace)


def unexpected(error: BaseException) -> None:
    """In the machinery itself: it goes on."""
    trace = (type(error), error, traceback_of(error))
    logger.error("Running tasks failed unexpectedly (%s); it goes on", kind_of(error), exc_info=trace)


def left_behind(error: BaseException) -> None:
    """A coroutine that a task has left behind on the event loop failed."""
    trace = (type(error), error, traceback_of(error))
    text = "What a task left behind on the event loop failed: %s at %s"
    logger.error(text, kind_of(error), place(error), exc_info=trace, extra={QUIET: True})


def loop_reports(text: str) -> None:
    """asyncio says something about what a task has left behind."""
    logger.error("The event loop of the tasks reports: %s", text)


def shown(task_id: bytes) -> str:
    """An id as it is stored, for a line."""
    return _cut(task_id.decode("utf-8", "backslashreplace"))


def _write(
    level: int,
    text: str,
    kind: TaskMessage,
    id_: str,
    queue: str,
    *values: object,
    trace: ExcInfo | None = None,
) -> None:
    """`kind` is the message, or another of its kind."""
    name, id_ = _cut(kind.type), _cut(id_)
    facts = {"task": name, "id": id_, "queue": queue, "retried": kind.retried}
    if values and isinstance(values[0], float):
        facts["seconds"] = round(values[0], 6)
    extra: dict[str, object] = {"facts": facts}
    if trace is not None:
        extra[QUIET] = True
    logger.log(level, text, name, id_, *values, exc_info=trace, extra=extra)


def _rounded(seconds: float) -> str:
    """As a reader wants it: 0.3s, 12s."""
    return f"{seconds:.0f}s" if seconds >= 10 else f"{round(seconds, 2):g}s"


def _cut(name: str) -> str:
    return cut(name, LONGEST_NAME)

"""Decides how an attempt ended: from what the task raised, and its policy (pure)."""

from __future__ import annotations

import random
import time
from typing import Any

from ..attempts import MOST_BYTES
from ..errors import (
    Cancel,
    InvalidArguments,
    MessageError,
    Reject,
    ResultNotSerializable,
    Retry,
    Snooze,
    TaskCancelled,
    TaskTimeout,
    TaskVerdict,
)
from ..message.outcome import (
    AttemptRecord,
    Outcome,
    archived,
    archived_raw,
    error_facts,
    not_run,
    retried,
    snoozed,
)
from ..message.task_message import TaskMessage, sanitize_text
from ..pipe.frames import Job
from ..retry import Decision, RetryPolicy, within_bounds
from ..states import Verb
from ..telemetry.traces import kind_of, names_of
from .retrying import is_last

UNKNOWN_FIRST_DELAY = 2.0
UNKNOWN_LONGEST_DELAY = 300.0

_MOST_DOUBLINGS = 16
"""Of the delay of an unknown task: beyond, it is the longest anyhow."""

_PARTS: Any = vars(BaseExceptionGroup)["exceptions"]

OUR_WORDS = (
    InvalidArguments,
    MessageError,
    ResultNotSerializable,
    TaskCancelled,
    TaskTimeout,
    TaskVerdict,
)
"""What is raised with a text that holds no data: taskflow's own, and the reasons that a task gives for its verdict."""


def failed(
    job: Job,
    message: TaskMessage,
    error: BaseException,
    text: str,
    policy: RetryPolicy,
    now: float,
    seconds: float,
    traceback: str,
) -> Outcome:
    """The task raised: retried, snoozed or archived, as the exception and the task's policy say."""
    if isinstance(error, Snooze):
        return snoozed(job.number, message, within_bounds(error.delay), seconds)
    attempt = _attempt(shown(error), text, now, seconds, traceback)
    if isinstance(error, InvalidArguments):
        # The stored arguments will not fit next time either.
        return archived(job.number, message, text, _facts(error), now, attempt)
    decision = _decision(job, message, error, policy, now, seconds)
    if decision.action == "archive":
        return archived(job.number, message, text, _facts(shown(error)), now, attempt)
    return retried(job.number, message, text, _facts(shown(error)), decision.delay, now, attempt)


def would_end(
    job: Job, message: TaskMessage, error: BaseException, policy: RetryPolicy, now: float, seconds: float
) -> bool:
    """Whether there is no other attempt if this one raises the exception: what `failed` would decide."""
    error = deciding(error)
    if isinstance(error, Snooze):
        return False
    if isinstance(error, InvalidArguments) or is_last(
        error, job.id.decode("utf-8", "backslashreplace"), message.retried
    ):
        return True
    return _decision(job, message, error, policy, now, seconds).action == "archive"


def _decision(
    job: Job, message: TaskMessage, error: BaseException, policy: RetryPolicy, now: float, seconds: float
) -> Decision:
    elapsed = now - job.first_failed_at if job.first_failed_at else seconds
    return policy.decide(
        error, retried=message.retried, max_retries=message.max_retries, elapsed_seconds=elapsed
    )


def refused(number: int, message: TaskMessage, error: MessageError, now: float) -> Outcome:
    """The message may not be read, or cannot: archived unread, with its payload as it is."""
    text, kind = sanitize_text(str(error)), kind_of(error)
    return archived(number, message, text, error_facts(kind), now, not_run(kind, text, now))


def given_up(
    number: int,
    message: TaskMessage,
    text: str,
    error: BaseException,
    now: float,
    seconds: float,
    traceback: str,
) -> Outcome:
    """The task has run, and no policy is asked whether it runs again."""
    attempt = _attempt(shown(error), text, now, seconds, traceback)
    return archived(number, message, text, _facts(error), now, attempt)


def expired(number: int, message: TaskMessage, now: float) -> Outcome:
    """It was to start by a certain time, and did not."""
    return _unstarted(number, message, "Expired", "expired", now)


def cancelled(number: int, message: TaskMessage, now: float) -> Outcome:
    """Somebody has cancelled it before it started."""
    return _unstarted(number, message, "TaskCancelled", "cancelled", now)


def _unstarted(number: int, message: TaskMessage, kind: str, text: str, now: float) -> Outcome:
    return archived(number, message, text, error_facts(kind, text), now, not_run(kind, text, now))


def unreadable(number: int, reason: str) -> Outcome:
    """The stored bytes are no message: archived as they are, with the reason beside them."""
    return archived_raw(number, "DecodeError", reason, time.time())


def unknown(number: int, times: int) -> Outcome:
    """Nobody here knows the task's name: put back for a growing while, since a newer worker may know it."""
    delay = min(UNKNOWN_FIRST_DELAY * 2 ** min(times, _MOST_DOUBLINGS), UNKNOWN_LONGEST_DELAY)
    return Outcome(number, Verb.PUT_BACK, delay=delay * random.uniform(0.8, 1.2))


def deciding(error: BaseException) -> BaseException:
    """The exception that decides how the attempt ends, where several came together in a group (from a `TaskGroup`, say).

    `TaskCancelled` goes before `Cancel`, that before `Reject`, `Reject` before `Retry`, of several `Retry` the one with the
    longest delay, and then comes `TaskTimeout`. `Snooze` counts where all are that, and then the longest: with any other error
    the attempt has failed. If there is none of them, it is the group itself.

    Args:
        error: what the attempt raised.
    """
    if not isinstance(error, BaseExceptionGroup):
        return error
    found: BaseException = error
    waiting: list[BaseException] = [error]
    others = False
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:  # of groups that share their parts there may be more ways than a life is long
            continue
        seen.add(id(one))
        if isinstance(one, BaseExceptionGroup):
            waiting.extend(_PARTS.__get__(one))
            continue
        others = others or not isinstance(one, Snooze)
        if _weight(one) > _weight(found):
            found = one
    return error if others and isinstance(found, Snooze) else found


def shown(error: BaseException) -> BaseException:
    """What is shown of what the task raised: of a retry for the sake of another exception, that one."""
    return error.exc if isinstance(error, Retry) and error.exc is not None else error


_WEIGHTS: tuple[tuple[type[BaseException], int], ...] = (
    (TaskCancelled, 6),
    (Cancel, 5),
    (Reject, 4),
    (Retry, 3),
    (TaskTimeout, 2),
    (Snooze, 1),
)


def _weight(error: BaseException) -> tuple[int, float]:
    weight = next((weight for kind, weight in _WEIGHTS if isinstance(error, kind)), 0)
    return weight, error.delay or 0.0 if isinstance(error, Retry | Snooze) else 0.0


def text_of(error: BaseException, *, whole: bool = True) -> str:
    """What is stored as the task's error.

    The exception's own text, or its type where it has none; with `whole` False only its type, unless the text
    is known to hold no data.
    """
    if not whole and not isinstance(error, OUR_WORDS):
        return sanitize_text(kind_of(error))
    try:
        text = str.strip(str(error))
    except BaseException:  # noqa: BLE001 - the user's __str__ may do anything; the attempt still needs its verdict
        text = ""
    return sanitize_text(str(text) or kind_of(error))


def _facts(error: BaseException) -> str:
    return error_facts(kind_of(error))


def _attempt(error: BaseException, text: str, now: float, seconds: float, traceback: str) -> AttemptRecord:
    """What is kept of the attempt. What stands for a text that is missing, the name of the type, is none here."""
    module, type_ = map(sanitize_text, names_of(error))
    said = "" if text == kind_of(error) else text
    return AttemptRecord(
        now - seconds, seconds, type_, module, said, sanitize_text(traceback, limit=MOST_BYTES)
    )

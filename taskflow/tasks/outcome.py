"""Decides how an attempt ended: from what the task raised, and its policy (pure)."""

from __future__ import annotations

import random
from typing import Any

from ..errors import (
    InvalidArguments,
    MessageError,
    Reject,
    ResultNotSerializable,
    Retry,
    TaskCancelled,
    TaskTimeout,
    TaskVerdict,
)
from ..message.outcome import Outcome, archived, archived_raw, error_facts, retried
from ..message.task_message import TaskMessage, sanitize_text
from ..pipe.frames import Job
from ..retry import RetryPolicy
from ..states import Verb
from ..telemetry.traces import kind_of

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
) -> Outcome:
    """The task raised: retried or archived, as the exception and the task's policy say."""
    if isinstance(error, InvalidArguments):
        # The stored arguments will not fit next time either.
        return archived(job.number, message, text, _facts(error), now, seconds)
    elapsed = now - job.first_failed_at if job.first_failed_at else seconds
    decision = policy.decide(
        error, retried=message.retried, max_retries=message.max_retries, elapsed_seconds=elapsed
    )
    if decision.action == "archive":
        return archived(job.number, message, text, _facts(error), now, seconds)
    return retried(job.number, message, text, _facts(error), decision.delay, now, seconds)


def refused(number: int, message: TaskMessage, error: MessageError, now: float) -> Outcome:
    """The message may not be read, or cannot: archived unread, with its payload as it is."""
    return archived(number, message, sanitize_text(str(error)), _facts(error), now)


def given_up(
    number: int, message: TaskMessage, text: str, error: BaseException, now: float, seconds: float
) -> Outcome:
    """The task has run, and no policy is asked whether it runs again."""
    return archived(number, message, text, _facts(error), now, seconds)


def expired(number: int, message: TaskMessage, now: float) -> Outcome:
    """It was to start by a certain time, and did not."""
    return archived(number, message, "expired", error_facts("Expired", "expired"), now)


def unreadable(number: int, reason: str) -> Outcome:
    """The stored bytes are no message: archived as they are, with the reason beside them."""
    return archived_raw(number, "DecodeError", reason)


def unknown(number: int, times: int) -> Outcome:
    """Nobody here knows the task's name: put back for a growing while, since a newer worker may know it."""
    delay = min(UNKNOWN_FIRST_DELAY * 2 ** min(times, _MOST_DOUBLINGS), UNKNOWN_LONGEST_DELAY)
    return Outcome(number, Verb.PUT_BACK, delay=delay * random.uniform(0.8, 1.2))


def deciding(error: BaseException) -> BaseException:
    """The exception that decides how the attempt ends, where several came together in a group (from a `TaskGroup`, say).

    `TaskCancelled` goes before `Reject`, `Reject` before `Retry`, of several `Retry` the one with the longest delay, and then
    comes `TaskTimeout`; if there is none of them, it is the group itself.

    Args:
        error: what the attempt raised.
    """
    if not isinstance(error, BaseExceptionGroup):
        return error
    found: BaseException = error
    waiting: list[BaseException] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseExceptionGroup):
            waiting.extend(_PARTS.__get__(one))
        elif _weight(one) > _weight(found):
            found = one
    return found


_WEIGHTS: tuple[tuple[type[BaseException], int], ...] = (
    (TaskCancelled, 4),
    (Reject, 3),
    (Retry, 2),
    (TaskTimeout, 1),
)


def _weight(error: BaseException) -> tuple[int, float]:
    weight = next((weight for kind, weight in _WEIGHTS if isinstance(error, kind)), 0)
    return weight, error.delay or 0.0 if isinstance(error, Retry) else 0.0


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

"""How an attempt at a task ended: the one value that a child decides, the pipe carries and `finish.lua` writes down (pure)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from ..states import Verb

if TYPE_CHECKING:
    # For the start: a worker knows frames and outcomes before it has protobuf, and its children begin meanwhile.
    from .task_message import TaskMessage


class AttemptRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An attempt that failed. Which worker made it is added by that worker, when it writes the outcome down.

    Args:
        at: when it began, in Unix seconds.
        seconds: how long it took.
        error: what it failed with, as the task says it.
    """

    at: float
    seconds: float
    error: str


MOST_FOLLOWERS = 100
MOST_FOLLOWER_BYTES = 1 << 20
"""Of one attempt, and of their messages together: each is written in the step that ends the task."""


class FollowUp(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A task that follows another: enqueued if the outcome that it comes with counts, and then once.

    Args:
        queue: where it goes.
        id: its id, by which it is told whether it was delivered.
        message: ready to be stored: encoded, sealed and signed.
        at: Unix seconds from which it may run; 0: now.
    """

    queue: str
    id: str
    message: bytes
    at: float = 0.0


class Outcome(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How the attempt at a task ended, and what is to be written down of it.

    Args:
        number: the job's number in its child; 0: no child has decided this.
        verb: one of `states.Verb`, or what else somebody has written into the pipe: the builder of `finish` looks at it.
        message: the message to store instead; empty: as it is.
        delay: seconds until the next attempt, or for which a completed task is kept; 1 for a task that is handed back and had
            started.
        result: the return value as JSON; empty: none.
        error: beside the error in the message: the exception's type, and its text where the message cannot say it. JSON.
        lock: the key of the task's unique lock; empty: none.
        seconds: how long the attempt ran.
        attempt: the attempt, if it failed.
        then: what follows. Only an outcome that counts has followers, and only one that ends the task: done and completed. What a
            task had added before it failed is dropped, whether it is retried or archived.
    """

    number: int
    verb: str
    message: bytes = b""
    delay: float = 0.0
    result: bytes = b""
    error: str = ""
    lock: str = ""
    seconds: float = 0.0
    attempt: AttemptRecord | None = None
    then: tuple[FollowUp, ...] = ()


def done(number: int, lock: str, seconds: float, then: tuple[FollowUp, ...] = ()) -> Outcome:
    """The task returned, and nothing of it is kept; `lock` is the key of its unique lock."""
    return Outcome(number, Verb.DONE, lock=lock, seconds=seconds, then=then)


def completed(
    number: int,
    message: TaskMessage,
    result: bytes,
    now: float,
    seconds: float,
    then: tuple[FollowUp, ...] = (),
) -> Outcome:
    """The task returned, and its result is kept for a while."""
    kept = replace(message, completed_at=int(now))
    return Outcome(
        number,
        Verb.COMPLETE,
        message=kept.encode(),
        delay=message.retention,
        result=result,
        lock=message.unique_key,
        seconds=seconds,
        then=then,
    )


def retried(
    number: int, message: TaskMessage, text: str, error: str, delay: float, now: float, seconds: float
) -> Outcome:
    """The attempt failed, and there will be another one.

    Args:
        number: of the job.
        message: as it is stored.
        text: becomes the task's error.
        error: see `error_facts`.
        delay: seconds until the next attempt.
        now: Unix seconds.
        seconds: how long the attempt ran.
    """
    kept = replace(message, error_msg=text, last_failed_at=int(now), retried=message.retried + 1)
    return Outcome(
        number,
        Verb.RETRY,
        message=kept.encode(),
        delay=max(delay, 0.0),
        error=error,
        seconds=seconds,
        attempt=AttemptRecord(now - seconds, seconds, text),
    )


def archived(
    number: int, message: TaskMessage, text: str, error: str, now: float, seconds: float | None = None
) -> Outcome:
    """The task failed for good; the arguments are those of `retried`, without `seconds` if it was not run."""
    kept = replace(message, error_msg=text, last_failed_at=int(now))
    return Outcome(
        number,
        Verb.ARCHIVE,
        message=kept.encode(),
        error=error,
        lock=message.unique_key,
        seconds=seconds or 0.0,
        attempt=None if seconds is None else AttemptRecord(now - seconds, seconds, text),
    )


def archived_raw(number: int, kind: str, text: str) -> Outcome:
    """The task is archived with the bytes of its message as they are, since they cannot be read or are not to be touched."""
    return Outcome(number, Verb.ARCHIVE_RAW, error=error_facts(kind, text))


def error_facts(kind: str, text: str = "") -> str:
    """What is stored beside an error's text: the exception's type, by name only. Nobody ever imports it (CVE-2021-23727).

    Args:
        kind: the name of the type, or what stands for it.
        text: of the error, where the message cannot say it.
    """
    return json.dumps({"type": kind, "text": text} if text else {"type": kind})

"""How an attempt at a task ended: the one value that a child decides, the pipe carries and `finish.lua` writes down (pure)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from ..states import Verb
from .kept import failure_retention
from .report import Report

if TYPE_CHECKING:
    # For the start: a worker knows frames and outcomes before it has protobuf, and its children begin meanwhile.
    from .task_message import TaskMessage


class AttemptRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An attempt that failed. Which worker made it is added by that worker, when it writes the outcome down.

    Args:
        at: when it began, in Unix seconds; of what was not run, when that was decided.
        seconds: how long it took; None: it was not run.
        type: of the exception, with the classes that it is defined in; or what stands for one.
        module: where the type is defined; empty: nothing was raised.
        text: what it said, as far as that is kept.
        traceback: from the task's function on.
    """

    at: float
    seconds: float | None
    type: str
    module: str = ""
    text: str = ""
    traceback: str = ""


_DONE = Verb.DONE.value

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
        failure_retention: seconds for which an archived task is kept; 0: it is deleted at once; None: as Asynq keeps them.
        then: what follows. Only an outcome that counts has followers, and only one that ends the task: done and completed. What a
            task had added before it failed is dropped, whether it is retried or archived.
        said: what the attempt has said that nobody has confirmed yet, its last report among it; of one that never said anything
            nothing.
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
    said: tuple[Report, ...] = ()
    failure_retention: int | None = None


def is_plain(outcome: Outcome) -> bool:
    """Whether a task is simply done: all that is to be written down is that it was."""
    return outcome.verb == _DONE and not (outcome.lock or outcome.then or outcome.said)


def done(number: int, lock: str, seconds: float, then: tuple[FollowUp, ...] = ()) -> Outcome:
    """The task returned, and nothing of it is kept; `lock` is the key of its unique lock."""
    # By position, as of no other verdict: a call by name takes twice as long, and this one is on the way of every task.
    return Outcome(number, _DONE, b"", 0.0, b"", "", lock, seconds, None, then)


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
    number: int, message: TaskMessage, text: str, error: str, delay: float, now: float, attempt: AttemptRecord
) -> Outcome:
    """The attempt failed, and there will be another one.

    Args:
        number: of the job.
        message: as it is stored.
        text: becomes the task's error.
        error: see `error_facts`.
        delay: seconds until the next attempt.
        now: Unix seconds.
        attempt: the attempt.
    """
    kept = replace(message, error_msg=text, last_failed_at=int(now), retried=message.retried + 1)
    return Outcome(
        number,
        Verb.RETRY,
        message=kept.encode(),
        delay=max(delay, 0.0),
        error=error,
        seconds=attempt.seconds or 0.0,
        attempt=attempt,
    )


def snoozed(number: int, message: TaskMessage, delay: float, seconds: float) -> Outcome:
    """The task is to be run again later, and the attempt has not failed. Its lock, if it still has it, lasts so much longer.

    Args:
        number: of the job.
        message: as it is stored, and stays.
        delay: seconds until it is run again.
        seconds: how long the attempt ran.
    """
    return Outcome(number, Verb.SNOOZE, delay=delay, lock=message.unique_key, seconds=seconds)


def archived(
    number: int, message: TaskMessage, text: str, error: str, now: float, attempt: AttemptRecord
) -> Outcome:
    """The task failed for good; the arguments are those of `retried`."""
    kept = replace(message, error_msg=text, last_failed_at=int(now))
    return Outcome(
        number,
        Verb.ARCHIVE,
        message=kept.encode(),
        error=error,
        lock=message.unique_key,
        seconds=attempt.seconds or 0.0,
        attempt=attempt,
        failure_retention=failure_retention(message.headers),
    )


def archived_raw(number: int, kind: str, text: str, now: float) -> Outcome:
    """The task is archived with the bytes of its message as they are, since they cannot be read or are not to be touched."""
    return Outcome(number, Verb.ARCHIVE_RAW, error=error_facts(kind, text), attempt=not_run(kind, text, now))


def not_run(kind: str, text: str, now: float) -> AttemptRecord:
    """What is kept of a failure for which nothing was run: a word for it, why, and when (Unix seconds)."""
    return AttemptRecord(now, None, kind, text=text)


def error_facts(kind: str, text: str = "") -> str:
    """What is stored beside an error's text: the exception's type, by name only. Nobody ever imports it (CVE-2021-23727).

    Args:
        kind: the name of the type, or what stands for it.
        text: of the error, where the message cannot say it.
    """
    return json.dumps({"type": kind, "text": text} if text else {"type": kind})

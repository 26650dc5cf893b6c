"""Outcomes that the worker itself decides, and what is written in the place of one that cannot be written (pure)."""

from __future__ import annotations

from collections.abc import Callable

from ...errors import DecodeError
from ...message import outcome
from ...message.outcome import Outcome
from ...message.task_message import TaskMessage
from ...pipe.frames import Refusal
from ...states import Verb
from ...telemetry.events import GivenUp, Unread, Unwritable, emit
from .held_tasks import Held

_HAND_BACKS = frozenset({Verb.REQUEUE.value, Verb.REQUEUE_CRASHED.value})


def too_large(who: Callable[[], tuple[str, str, str, int]], size: int, most: int, now: float) -> Outcome:
    """The verdict that a message over the limit is archived as it is, which is told, too.

    Args:
        who: the task as events name it; asked only where somebody listens.
        size: bytes of the message.
        most: the limit.
        now: Unix seconds.
    """
    found = over_limit(size, most, now)
    if Unread.heard:
        emit(Unread(*who(), kind=found.kind, reason=found.reason))
    return found.outcome


def over_limit(size: int, most: int, now: float) -> Refusal:
    """The same of a member of a group, which is not told."""
    reason = f"its message has {size:,} bytes, over the worker's limit of {most:,} (--max-message)"
    verdict = outcome.archived_raw(0, "MessageTooLarge", reason, now)
    return Refusal(
        verdict, f"its message has {size} bytes, over the limit of {most} (--max-message)", "large"
    )


def archived(held: Held, reason: str, kind: str, now: float) -> Outcome:
    """The verdict that a task is archived for a reason that the worker knows; as it is, where its message cannot be read.

    Args:
        held: the task.
        reason: becomes its error.
        kind: stands for the exception's type.
        now: Unix seconds.
    """
    try:
        message = TaskMessage.decode(held.taken.message)
    except DecodeError:
        return outcome.archived_raw(0, kind, reason, now)
    failed = outcome.not_run(kind, reason, now)
    return outcome.archived(0, message, reason, outcome.error_facts(kind, reason), now, failed)


def substitute(held: Held, unwritten: Outcome, error: BaseException, now: float) -> Outcome | None:
    """What to write instead of an outcome that cannot be written; None: there is nothing simpler.

    The task is archived with the reason: it may have done its work, so it is not run again unless somebody says so. Where that
    cannot be written either, its bytes are archived as they are; after that it is handed back.

    Args:
        held: the task.
        unwritten: what could not be written.
        error: why.
        now: the server's time in Unix seconds.
    """
    if unwritten.verb in _HAND_BACKS:
        return None
    if unwritten.verb in (Verb.ARCHIVE_RAW.value, Verb.PUT_BACK.value):
        if GivenUp.heard:
            emit(GivenUp(*held.who()))
        return Outcome(0, Verb.REQUEUE)
    kind = type(error).__name__
    reason = f"its verdict could not be written ({kind})"
    if Unwritable.heard:
        emit(Unwritable(*held.who(), reason=reason))
    return (
        outcome.archived_raw(0, kind, reason, now)
        if unwritten.verb == Verb.ARCHIVE.value
        else archived(held, reason, kind, now)
    )

"""Outcomes as the script takes them, and what is written in the place of one that it does not take (pure)."""

from __future__ import annotations

import json
from dataclasses import replace

from ...broker.commands.finish import Verdict
from ...errors import DecodeError
from ...message.task_message import TaskMessage
from ...pipe.frames import Outcome
from ...states import Verb
from ...telemetry.events import GivenUp, Unwritable, emit
from .held_tasks import Held

_VERBS = {verb.value: verb for verb in Verb}

_HAND_BACKS = frozenset({Verb.REQUEUE.value, Verb.REQUEUE_CRASHED.value})


def verdict(held: Held, outcome: Outcome) -> Verdict:
    """The outcome as the script takes it."""
    taken = held.taken
    return Verdict(
        taken.id,
        _VERBS[outcome.verb],
        taken.lease_token,
        outcome.message,
        outcome.at,
        outcome.result,
        outcome.error,
        outcome.lock,
    )


def too_large(size: int, most: int) -> Outcome:
    """A message over the limit is archived as it is."""
    reason = f"its message has {size:,} bytes, over the worker's limit of {most:,} (--max-message)"
    return archived_raw(reason, "MessageTooLarge")


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
        return archived_raw(reason, kind)
    kept = replace(message, error_msg=reason, last_failed_at=int(now))
    facts = _facts(reason, kind)
    return Outcome(0, Verb.ARCHIVE, message=kept.encode(), error=facts, lock=message.unique_key)


def archived_raw(reason: str, kind: str) -> Outcome:
    """The same, with the bytes of the message as they are."""
    return Outcome(0, Verb.ARCHIVE_RAW, error=_facts(reason, kind))


def _facts(reason: str, kind: str) -> str:
    return json.dumps({"type": kind, "text": reason})


def substitute(held: Held, outcome: Outcome, error: BaseException, now: float) -> Outcome | None:
    """What to write instead of an outcome that cannot be written; None: there is nothing simpler.

    The task is archived with the reason: it may have done its work, so it is not run again unless somebody says so. Where that
    cannot be written either, its bytes are archived as they are; after that it is handed back.

    Args:
        held: the task.
        outcome: what could not be written.
        error: why.
        now: the server's time in Unix seconds.
    """
    if outcome.verb in _HAND_BACKS:
        return None
    if outcome.verb in (Verb.ARCHIVE_RAW.value, Verb.PUT_BACK.value):
        if GivenUp.heard:
            emit(GivenUp(*held.who()))
        return Outcome(0, Verb.REQUEUE)
    kind = type(error).__name__
    reason = f"its verdict could not be written ({kind})"
    if Unwritable.heard:
        emit(Unwritable(*held.who(), reason=reason))
    return (
        archived_raw(reason, kind)
        if outcome.verb == Verb.ARCHIVE.value
        else archived(held, reason, kind, now)
    )

"""A task that kills the process it runs in is archived, with the reason, before it does so for ever (pure)."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

from ..errors import DecodeError
from ..message.task_message import TaskMessage
from ..pipe.frames import Outcome
from ..states import Verb
from .holdings import Held

logger = logging.getLogger("taskflow.worker")

MOST_CRASHES = 3
"""Processes that a task may cost. The first may have been a neighbour's fault; in the others it ran alone."""


def archive_poison(held: Held, now: float) -> Outcome:
    """The verdict on a task that has cost `MOST_CRASHES` processes."""
    reason = f"its process died {held.taken.crashes} times while it ran"
    logger.error("Task %s of queue %s is archived: %s", held.id, held.queue, reason)
    return archived(held, reason, "ProcessDied", now)


def archived(held: Held, reason: str, kind: str, now: float) -> Outcome:
    """The verdict that a task is archived without being run.

    Args:
        held: the task.
        reason: becomes its error.
        kind: stands for the exception's type.
        now: Unix seconds.
    """
    facts = json.dumps({"type": kind, "text": reason})
    try:
        message = TaskMessage.decode(held.taken.message)
    except DecodeError:
        return Outcome(0, Verb.ARCHIVE_RAW, error=facts)
    kept = replace(message, error_msg=reason, last_failed_at=int(now))
    return Outcome(0, Verb.ARCHIVE, message=kept.encode(), error=facts, lock=message.unique_key)

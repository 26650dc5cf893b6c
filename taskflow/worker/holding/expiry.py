"""A task that has not started by the time that its option `expires` names is never run (no I/O)."""

from __future__ import annotations

from ...errors import DecodeError
from ...message.outcome import Outcome
from ...message.task_message import TaskMessage
from ...telemetry.events import Expired, emit
from .held_tasks import Held
from .verdicts import archived

REASON = "expired"
"""The error of such a task."""


def archive_expired(held: Held, now: float) -> Outcome | None:
    """The verdict on a task whose time to start is over; None: it may start, until `held.expires_at_ms`.

    Args:
        held: a task that was just taken, and that has such a time.
        now: the server's time, in Unix seconds.
    """
    left = held.taken.expires_at - now
    if _has_started(held):
        return None
    if left > 0:
        held.expires_at_ms = int((held.ready_at + left) * 1000)
        return None
    if Expired.heard:
        emit(Expired(*held.who(), late_seconds=-left))
    return archived(held, REASON, "Expired", now)


def _has_started(held: Held) -> bool:
    """Our own workers forget the time when a task has started; Go's leave it where it is, also with what is to be retried."""
    try:
        return TaskMessage.decode(held.taken.message).retried > 0
    except DecodeError:
        return True  # it cannot be read, which is another reason

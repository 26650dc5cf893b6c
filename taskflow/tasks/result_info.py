"""`ResultInfo`: what a queue knows of a task, as `AsyncResult.info()` gives it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from ..broker.commands.read import Snapshot
from ..errors import ResultMissing
from ..states import State

_STATES = frozenset(State)


@dataclass(frozen=True, slots=True)
class ResultInfo:
    """What the queue knows of a task, without its arguments.

    Args:
        id: the task's id.
        queue: its queue.
        name: the task's name.
        state: one of Asynq's seven states.
        retried: failed attempts so far.
        max_retries: how many it may have.
        last_error: the text of the last failure.
        last_failed_at: when that was (UTC), or None.
        completed_at: when it succeeded (UTC), or None.
        retention: seconds that it is kept after success.
    """

    id: str
    queue: str
    name: str
    state: State
    retried: int
    max_retries: int
    last_error: str
    last_failed_at: datetime | None
    completed_at: datetime | None
    retention: int


def info_of(snapshot: Snapshot, task_id: str, queue: str) -> ResultInfo:
    """What was read of a task.

    Raises:
        ResultMissing: the queue does not know it.
    """
    message, state = snapshot.message, state_of(snapshot.state)
    if state is None or message is None:
        raise ResultMissing(f"queue {queue!r} does not know task {task_id}", task_id=task_id)
    return ResultInfo(
        id=task_id,
        queue=queue,
        name=message.type,
        state=state,
        retried=message.retried,
        max_retries=message.max_retries,
        last_error=message.error_msg,
        last_failed_at=_moment(message.last_failed_at),
        completed_at=_moment(message.completed_at),
        retention=message.retention,
    )


def state_of(text: str | None) -> State | None:
    """A state as it is stored; None for none, and for what is no state."""
    return State(text) if text in _STATES else None


def _moment(unix_seconds: int) -> datetime | None:
    """A moment as it is stored; None for none, and for what no calendar has."""
    try:
        return datetime.fromtimestamp(unix_seconds, UTC) if unix_seconds else None
    except (ValueError, OverflowError, OSError):
        return None

"""`ResultInfo`: what a queue knows of a task, as `AsyncResult.info()` gives it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from ..attempts import FailedAttempt
from ..broker.commands.read import Snapshot
from ..errors import ResultMissing
from ..message.report import LogLine, Progress
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
        attempts: the attempts that failed, the oldest first; the last ten are kept.
        progress: how far it is, as its latest attempt has said; None: it has not.
        lines: what it has said in lines, as far as they are kept.
        reported_at: when it has last said anything, a heartbeat included (UTC); None: it has not.
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
    attempts: tuple[FailedAttempt, ...] = ()
    progress: Progress | None = None
    lines: tuple[LogLine, ...] = ()
    reported_at: datetime | None = None


def info_of(snapshot: Snapshot, task_id: str, queue: str, asked: str) -> ResultInfo:
    """What was read of a task.

    Args:
        snapshot: that.
        task_id: its id.
        queue: where it is.
        asked: who was asked, for the error.

    Raises:
        ResultMissing: the queue does not know it.
    """
    message, state = snapshot.message, state_of(snapshot.state)
    if state is None or message is None:
        raise ResultMissing(f"{asked} task {task_id}", task_id=task_id)
    return ResultInfo(
        id=task_id,
        queue=queue,
        name=message.type,
        state=state,
        retried=message.retried,
        max_retries=message.max_retries,
        last_error=message.error_msg,
        last_failed_at=moment(message.last_failed_at),
        completed_at=moment(message.completed_at),
        retention=message.retention,
        attempts=snapshot.attempts,
    )


def state_of(text: str | None) -> State | None:
    """A state as it is stored; None for none, and for what is no state."""
    return State(text) if text is not None and text in _STATES else None


def moment(unix_seconds: int) -> datetime | None:
    """A moment as it is stored; None for none, and for what no calendar has."""
    try:
        return datetime.fromtimestamp(unix_seconds, UTC) if unix_seconds else None
    except (ValueError, OverflowError, OSError):
        return None

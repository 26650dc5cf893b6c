"""What a cancel does to the model of a queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from taskflow.broker.words import Cancel, Cancelled
from taskflow.states import Verb
from tests.properties.store import About

if TYPE_CHECKING:
    from tests.properties.model import Model

GOES_ON = frozenset({Verb.RETRY, Verb.SNOOZE, Verb.REQUEUE, Verb.REQUEUE_CRASHED, Verb.PUT_BACK})
"""The outcomes after which a task would be run again."""

_ADDITION = b"\x3a\x09cancelled"
"""The field `error_msg` of a message."""


def cancel(model: Model, ids: Sequence[str], grace: float | None, now: About) -> list[Cancelled]:
    """Carry out an order to cancel tasks."""
    return [_cancel(model, task_id, "" if grace is None else f"{grace:.3f}", now) for task_id in ids]


def _cancel(model: Model, task_id: str, grace: str, now: About) -> Cancelled:
    state = model.state(task_id)
    if not state:
        return Cancelled.NO_SUCH_TASK
    if state == "active":
        if "cancel" not in model.task(task_id) or grace:
            model._mark(task_id, "cancel", grace)
        model._mark(task_id, "expires", Cancel.LONG_AGO.value)
        return Cancelled.ASKED
    if state in ("archived", "completed"):
        return Cancelled.HAS_ENDED
    if state == "aggregating" and not model._leave_group(task_id) and model.set_of(task_id):
        return Cancelled.IS_BEING_AGGREGATED
    model._leave_waiting(task_id, state)
    archive(model, task_id, b"", now)
    return Cancelled.ARCHIVED


def is_cancelled(model: Model, task_id: str, verb: Verb) -> bool:
    """Whether somebody has cancelled a task that would be run again."""
    return verb in GOES_ON and "cancel" in model.task(task_id)


def archive(model: Model, task_id: str, message: bytes, now: About) -> None:
    """Archive a task that was cancelled, with this message, or as it is."""
    message = message or model.task(task_id)["msg"]
    if not message.endswith(_ADDITION):
        message += _ADDITION
    marks = ["owner", "receipt", "pending_since", "expires", "cancel"]
    model._mark(task_id, "state", "archived", "error", Cancel.ERROR.value, "msg", message, without=marks)
    model.store.zadd(model.keys.archived, now, task_id)
    model.release_lock(task_id)

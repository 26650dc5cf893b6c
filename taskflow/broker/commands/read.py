"""Reading one task: what a waiter for its result needs to know."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ...attempts import FailedAttempt, read_attempts, reason_of
from ...errors import DecodeError
from ...message.report import Report
from ...message.task_message import TaskMessage
from ..command import Plain
from ..keys import queue_keys


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A task at one moment: None for `state` when the queue does not know it; `message` None when it cannot
    be read.
    """

    state: str | None
    message: TaskMessage | None
    result: bytes | None
    error: str
    attempts: tuple[FailedAttempt, ...] = ()
    """Those that failed and are kept."""
    said: tuple[Report, ...] = ()
    """In eager mode: what it has said. On a server that is read by itself: see `report`."""
    said_at: float = 0.0
    error_type: str = ""
    """The name of the exception's type, where it is archived."""

    @property
    def text(self) -> str:
        """The text of its last error; "" for none."""
        return (self.message.error_msg if self.message else "") or self.error

    @property
    def reason(self) -> FailedAttempt | None:
        """The attempt that its last error is of, if it is kept."""
        return reason_of(self.attempts, self.message.last_failed_at if self.message else 0, self.text)


def read_task(queue: str, task_id: str) -> Plain[Snapshot]:
    """Read the hash of a task."""
    keys = queue_keys(queue)
    fields = ("msg", "state", "result", "error", "attempts")
    return Plain(("HMGET", keys.task(task_id), *fields), _snapshot, keys.slot)


def error_text(stored: bytes | None) -> str:
    """The text in the field `error` of a task's hash. A worker writes JSON with `text` and `type`; anything else is taken as it
    is.
    """
    facts = _facts(stored)
    return facts.get("text") or facts.get("type") or (stored or b"").decode("utf-8", "replace")


def error_type(stored: bytes | None) -> str:
    """The name of the exception's type in the same field; empty: it does not say."""
    return _facts(stored).get("type", "")


def _facts(stored: bytes | None) -> dict[str, str]:
    if not stored:
        return {}
    try:
        facts = json.loads(stored.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(facts, dict):
        return {}
    return {name: said for name, said in facts.items() if isinstance(said, str)}


def _snapshot(reply: list[Any]) -> Snapshot:
    data, state, result, error, attempts = reply
    try:
        message = TaskMessage.decode(data) if data else None
    except DecodeError:
        message = None
    return Snapshot(
        state.decode("utf-8", "replace") if state else None,
        message,
        result,
        error_text(error),
        read_attempts(attempts),
        error_type=error_type(error),
    )

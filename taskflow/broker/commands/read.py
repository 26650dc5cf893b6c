"""Reading one task: what a waiter for its result needs to know."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ...errors import DecodeError
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


def read_task(queue: str, task_id: str) -> Plain[Snapshot]:
    """Read the hash of a task."""
    keys = queue_keys(queue)
    return Plain(("HMGET", keys.task(task_id), "msg", "state", "result", "error"), _snapshot, keys.slot)


def error_text(stored: bytes | None) -> str:
    """The text in the field `error` of a task's hash. A worker writes JSON with `text` and `type`; anything else is taken as it
    is.
    """
    text = (stored or b"").decode("utf-8", "replace")
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(facts, dict):
        for name in ("text", "type"):
            if isinstance(said := facts.get(name), str) and said:
                return said
    return text


def _snapshot(reply: list[Any]) -> Snapshot:
    data, state, result, error = reply
    try:
        message = TaskMessage.decode(data) if data else None
    except DecodeError:
        message = None
    return Snapshot(
        state.decode("utf-8", "replace") if state else None,
        message,
        result,
        error_text(error),
    )

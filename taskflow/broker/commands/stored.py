"""What a queue's tasks have in the app's store: noted before it is put there, looked at until the task is gone.

A sorted set beside the queue: id and key of the store, by when somebody looks next. Nothing else refers to what is in the store
when a task is deleted, by hand, by Go, or since its time has passed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ...message.offload import LONGEST_ENQUEUE
from ..command import Plain
from ..keys import queue_keys

BATCH = 100
"""Entries that are looked at together."""

FIRST_LOOK = 2 * LONGEST_ENQUEUE
"""Seconds after which what was put into the store is looked at: its task has been enqueued by then, or never will be."""

NEXT_LOOK = FIRST_LOOK
"""The same where the task is still there."""

_BETWEEN = "\0"


@dataclass(frozen=True, slots=True)
class Stored:
    """Something in the store: the id of its task, and its key there."""

    id: str
    key: str

    @property
    def name(self) -> str:
        """The entry in the set."""
        return f"{self.id}{_BETWEEN}{self.key}"


def note_stored(queue: str, entries: Sequence[Stored], seconds: float) -> Plain[int]:
    """Look at these in so many seconds."""
    keys = queue_keys(queue)
    at = f"{time.time() + seconds:.3f}"
    words = [word for one in entries for word in (at, one.name)]
    return Plain(("ZADD", keys.stored, *words), int, keys.slot)


def stored_due(queue: str, limit: int = BATCH) -> Plain[list[Stored]]:
    """What is to be looked at now."""
    keys = queue_keys(queue)
    now = f"{time.time():.3f}"
    return Plain(("ZRANGE", keys.stored, "-inf", now, "BYSCORE", "LIMIT", 0, limit), _entries, keys.slot)


def forget_stored(queue: str, entries: Sequence[Stored]) -> Plain[int]:
    """These are in the store no more."""
    keys = queue_keys(queue)
    return Plain(("ZREM", keys.stored, *(one.name for one in entries)), int, keys.slot)


def has_task(queue: str, task_id: str) -> Plain[bool]:
    """Whether a queue has the task, in whatever state."""
    keys = queue_keys(queue)
    return Plain(("EXISTS", keys.task(task_id)), bool, keys.slot)


def _entries(reply: list[bytes]) -> list[Stored]:
    pairs = (name.decode("utf-8", "surrogateescape").partition(_BETWEEN) for name in reply)
    return [Stored(id, key) for id, _, key in pairs]

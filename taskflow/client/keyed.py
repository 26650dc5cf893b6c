"""Tasks that belong to one partition: by what, and by which number of partitions that is chosen (no I/O)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from ..broker.commands.enqueue import NewTask
from ..broker.commands.partitions import knows_task, lock_holder
from ..broker.keys import queue_keys
from ..connection.steps import Request

KNOWN_TO_ALL = 30.0
"""Seconds after which everybody has heard of a new number. Only then are keys placed by it."""

HOLDS = 86400
"""Seconds for which, at least, keys are also looked for where another number puts them."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What is known of the numbers of partitions by which clients place the keys of a queue.

    `since` is by number, on this process's monotonic clock, as are `asked_at` and `until`.
    """

    asked_at: float
    until: float
    since: Mapping[int, float]

    def placing(self, own: int, now: float) -> int:
        """The number to place keys by: our own, once everybody has heard of it; till then the one before it."""
        if now - self.since.get(own, now) >= KNOWN_TO_ALL:
            return own
        others = {number: since for number, since in self.since.items() if number != own}
        known_to_all = {
            number: since for number, since in others.items() if now - since >= KNOWN_TO_ALL
        } or others
        return max(known_to_all, key=known_to_all.__getitem__, default=own)


def has_key(task: NewTask) -> bool:
    """Whether it belongs to one partition."""
    return bool(task.named or task.lock or task.terms.group)


def key_of(task: NewTask) -> str:
    """What decides on the partition. The lock first: a second task with the same arguments has to be found."""
    return task.lock or task.terms.group or task.id


def look_for(task: NewTask, queue: str, name: str) -> Request:
    """Asks a partition (`name`) of a queue for what stands in the way of a task."""
    if task.lock:
        return lock_holder(name, queue_keys(name).lock_like(queue, task.lock))
    return knows_task(name, task.id)


def seconds_held(task: NewTask) -> float:
    """Seconds for which a second task like this one is to be found."""
    terms = task.terms
    delay = terms.delay or 0.0
    if terms.process_at is not None:
        delay = max(terms.process_at - time.time(), 0.0)
    return delay + (terms.lock_seconds or terms.message.retention)

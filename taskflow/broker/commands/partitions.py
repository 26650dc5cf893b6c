"""Partitions: which of a queue's there are, whether the queue is paused, and where its keys are."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from ...connection.topology import key_slot
from ..builder import builder
from ..command import Command, Plain
from ..keys import ALL_QUEUES, queue_keys

_build_note = builder("note_partitions", "count seconds")


def are_listed(names: Sequence[str]) -> Plain[list[bool]]:
    """Which of these names the index of all queues has."""
    # The command needs at least one name, and "" is never that of a queue.
    return Plain(
        ("SMISMEMBER", ALL_QUEUES, "", *names),
        lambda reply: [bool(one) for one in reply[1:]],
        slot=key_slot(ALL_QUEUES),
    )


class Paused(Enum):
    """Whether a queue, or a partition of one, is paused."""

    NONE = 0
    ALONE = 1
    """By its own name, as Go's tools do."""
    WHOLE = 2
    """With all partitions of its queue, also those that do not exist yet."""


def pause_of(queue: str) -> Plain[Paused]:
    """Whether a queue, or a partition of one, is paused."""
    keys = queue_keys(queue)
    return Plain(("GET", keys.paused), _pause, keys.slot)


def has_tasks(queue: str) -> Plain[bool]:
    """Whether anything of a queue is still to be done: its tasks, and the delivery of what follows them."""
    keys = queue_keys(queue)
    names = (
        keys.pending,
        keys.active,
        keys.scheduled,
        keys.retry,
        keys.groups,
        keys.aggregation_sets,
        keys.outbox,
    )
    return Plain(("EXISTS", *names), bool, keys.slot)


def note_count(queue: str, count: int, seconds: int) -> Command[dict[int, int]]:
    """Note that keys are placed over `count` partitions, and that their locks may hold for so many seconds.

    Returns:
        Every number by which clients place keys, and for how many seconds they have.
    """
    return _build_note(queue_keys(queue), _ages, count=count, seconds=seconds)


def lock_holder(queue: str, lock: str) -> Plain[str]:
    """The id that holds a lock; "" when nobody does."""
    return Plain(("GET", lock), _text, queue_keys(queue).slot)


def knows_task(queue: str, task_id: str) -> Plain[bool]:
    """Whether a queue has a task of this id."""
    keys = queue_keys(queue)
    return Plain(("EXISTS", keys.task(task_id)), bool, keys.slot)


def _pause(reply: bytes | None) -> Paused:
    if reply is None:
        return Paused.NONE
    return Paused.WHOLE if reply.endswith(b" all") else Paused.ALONE


def _ages(reply: list[Any]) -> dict[int, int]:
    return dict(zip(reply[::2], reply[1::2], strict=True))


def _text(reply: bytes | None) -> str:
    return (reply or b"").decode("utf-8", "surrogateescape")

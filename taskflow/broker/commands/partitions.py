"""Partitions: which of a queue's there are, and whether the queue is paused."""

from __future__ import annotations

from collections.abc import Sequence

from ...connection.topology import key_slot
from ..command import Plain
from ..keys import ALL_QUEUES, queue_keys


def are_listed(names: Sequence[str]) -> Plain[list[bool]]:
    """Which of these names the index of all queues has."""
    return Plain(("SMISMEMBER", ALL_QUEUES, *names), _flags, slot=key_slot(ALL_QUEUES))


def is_paused(queue: str) -> Plain[bool]:
    """Whether a queue is paused; of one with partitions, whether the whole of it is."""
    keys = queue_keys(queue)
    return Plain(("EXISTS", keys.paused), bool, keys.slot)


def has_tasks(queue: str) -> Plain[bool]:
    """Whether anything of a queue is still to be done."""
    keys = queue_keys(queue)
    names = (keys.pending, keys.active, keys.scheduled, keys.retry, keys.groups, keys.aggregation_sets)
    return Plain(("EXISTS", *names), bool, keys.slot)


def _flags(reply: list[int]) -> list[bool]:
    return [bool(one) for one in reply]

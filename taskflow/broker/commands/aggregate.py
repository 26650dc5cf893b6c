"""Aggregation: one task in the place of a group's tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha1
from typing import Any

from ...message.task_message import TaskMessage
from ..command import Command, Plain
from ..keys import queue_keys
from ..scripts import load

MOST_JOINED = 200
"""Tasks that one call joins, whatever `max_size` says: a script stays under 5 ms. The rest is joined in the next."""


class Joined(Enum):
    """What became of a join."""

    JOINED = 1
    ALREADY_JOINED = 2
    CHANGED = 0
    """Another worker joined some of them, or somebody took one out."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A task in a group: its id and its message's bytes."""

    id: str
    message: bytes


def group_names(queue: str) -> Plain[list[str]]:
    """The groups of a queue that have waiting tasks."""
    keys = queue_keys(queue)
    return Plain(
        ("SMEMBERS", keys.groups),
        lambda reply: sorted(name.decode("utf-8", "surrogateescape") for name in reply),
        keys.slot,
    )


def ripe(queue: str, group: str, *, grace: int, max_delay: int, max_size: int) -> Command[list[Waiting]]:
    """The tasks of a group that are to be joined now; none while it is not ripe. Times are in seconds."""
    keys = queue_keys(queue)
    return Command(
        load("ripe"),
        (keys.group(group), keys.groups, keys.orphans),
        (group, grace, max_delay, max_size, MOST_JOINED, keys.task_prefix),
        _waiting,
        keys.slot,
    )


def _waiting(reply: list[Any]) -> list[Waiting]:
    return [
        Waiting(reply[at].decode("utf-8", "surrogateescape"), reply[at + 1]) for at in range(0, len(reply), 2)
    ]


def join(queue: str, group: str, message: TaskMessage, tasks: Sequence[Waiting]) -> Command[Joined]:
    """Put `message` in the place of these tasks of a group."""
    keys = queue_keys(queue)
    return Command(
        load("join"),
        [
            keys.group(group),
            keys.groups,
            keys.pending,
            keys.task(message.id),
            *(keys.task_prefix + task.id for task in tasks),
        ],
        [
            0,
            group,
            message.id,
            message.encode(),
            keys.unique_prefix,
            *(part for task in tasks for part in (task.id, sha1(task.message).hexdigest())),
        ],
        Joined,
        keys.slot,
        resend_flag=0,
    )

"""Aggregation: one task in the place of a group's tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import Any

from ...message.kept import ARCHIVE_SECONDS
from ...message.outcome import Outcome
from ...message.task_message import TaskMessage
from ..builder import builder, item_of
from ..command import Command, Plain
from ..keys import day_of, queue_keys
from ..words import Joined, Refused
from .finish import ARCHIVE_SIZE, attempt_words

MOST_JOINED = 200
"""Tasks that one call joins, whatever `max_size` says: a script stays under 5 ms. The rest is joined in the next."""

_build_ripe = builder("ripe", "group_key group grace max_delay max_size", limit=MOST_JOINED)
_build_join = builder("join", "group_key joined group joined_id message")
_build_refuse = builder(
    "refuse",
    "group_key processed_day failed_day group channel_prefix",
    archive_seconds=ARCHIVE_SECONDS,
    archive_size=ARCHIVE_SIZE,
)
_joined = item_of("join")
_refused = item_of("refuse")


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
    return _build_ripe(
        keys,
        _waiting,
        group_key=keys.group(group),
        group=group,
        grace=grace,
        max_delay=max_delay,
        max_size=max_size,
    )


def _waiting(reply: list[Any]) -> list[Waiting]:
    return [
        Waiting(reply[at].decode("utf-8", "surrogateescape"), reply[at + 1]) for at in range(0, len(reply), 2)
    ]


def _refusals(reply: list[int]) -> list[Refused]:
    return [Refused(one) for one in reply]


def join(queue: str, group: str, message: TaskMessage, tasks: Sequence[Waiting]) -> Command[Joined]:
    """Put `message` in the place of these tasks of a group."""
    keys = queue_keys(queue)
    return _build_join(
        keys,
        Joined,
        [keys.task(task.id) for task in tasks],
        [word for task in tasks for word in _joined(id=task.id, read=sha1(task.message).hexdigest())],
        group_key=keys.group(group),
        joined=keys.task(message.id),
        group=group,
        joined_id=message.id,
        message=message.encode(),
    )


def refuse(
    queue: str, group: str, items: Sequence[tuple[Waiting, Outcome]], now: float, worker: str = ""
) -> Command[list[Refused]]:
    """Take tasks out of a group that are not to be joined, those that are there as they were read; what became of each.

    Args:
        queue: its name.
        group: the group's.
        items: tasks, and what becomes of each: archived (as it is, or with another message), or put back for a while.
        now: the server's time in Unix seconds: it names the day's counters.
        worker: which worker refuses them.
    """
    keys = queue_keys(queue)
    day = day_of(now)
    return _build_refuse(
        keys,
        _refusals,
        [keys.task(task.id) for task, _ in items],
        [
            word
            for task, outcome in items
            for word in _refused(
                id=task.id,
                read=sha1(task.message).hexdigest(),
                verb=outcome.verb,
                delay=outcome.delay,
                message=outcome.message,
                error=outcome.error,
                attempt=attempt_words(outcome.attempt, worker)[0] if outcome.attempt else "",
                keep="" if outcome.failure_retention is None else outcome.failure_retention,
            )
        ],
        group_key=keys.group(group),
        processed_day=keys.processed_on(day),
        failed_day=keys.failed_on(day),
        group=group,
        channel_prefix=keys.verdict_channel(""),
    )

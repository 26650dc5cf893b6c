"""Tasks from an outbox outside the server: put into their queue once, however often they are brought."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...message.ready import ReadyTask
from ..builder import builder, item_of
from ..command import Command, Plain
from ..keys import queue_keys
from ..words import Delivered, Enqueued
from .enqueue import moment_of
from .outbox import CONFIRMED_SECONDS, ONCE_SECONDS

BATCH = 100
"""Tasks of one script call at most."""

_build = builder("hand_over", "not_after token", once_seconds=ONCE_SECONDS)
_item = item_of("hand_over")

Reply = Enqueued | Delivered | str
"""What became of a task; a text is the id of the task that holds its lock."""

_REPLIES: dict[int, Reply] = {
    **{one.value: one for one in (Enqueued.CREATED, Enqueued.ALREADY_THERE, Enqueued.ID_TAKEN)},
    Delivered.TOO_LATE.value: Delivered.TOO_LATE,
}


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What became of tasks, in their order, and the server's time in Unix seconds."""

    replies: list[Reply]
    server_time: float


def hand_over(
    queue: str, tasks: Sequence[ReadyTask], not_after: float, *, movable: bool = False
) -> Command[HandedOver]:
    """Put tasks into their queue.

    Args:
        queue: where all of them go.
        tasks: at most `BATCH` of them.
        not_after: Unix seconds by the clock of that queue's server, after which nothing is written.
        movable: whether to give up at once where the node cannot be reached, instead of waiting for it.
    """
    keys = queue_keys(queue)
    names: list[str] = []
    words: list[Any] = []
    for task in tasks:
        names += (keys.task(task.id), keys.once(task.once))
        if task.lock_seconds:
            names.append(task.lock)
        if task.group:
            names.append(keys.group(task.group))
        words += _item(
            id=task.id,
            message=task.message,
            start_at=moment_of(task.delay, task.process_at),
            expires_at=moment_of(task.expires, task.expires_at),
            lock_seconds=task.lock_seconds,
            group=task.group,
        )
    token = uuid.uuid4().hex
    return _build(keys, _parse, names, words, not_after=not_after, token=token, durable=True, movable=movable)


def let_end(task: ReadyTask) -> Plain[bool]:
    """Let the marker of a task that is in no outbox any more end in `CONFIRMED_SECONDS`, instead of in days."""
    keys = queue_keys(task.queue)
    return Plain(("EXPIRE", keys.once(task.once), CONFIRMED_SECONDS), bool, keys.slot)


def server_time(queue: str) -> Plain[float]:
    """The time of the server that has a queue, in Unix seconds."""
    return Plain(("TIME",), _seconds, queue_keys(queue).slot)


def _parse(reply: list[Any]) -> HandedOver:
    replies = [
        _REPLIES[one] if isinstance(one, int) else str(one, "utf-8", "surrogateescape") for one in reply[1:]
    ]
    return HandedOver(replies, float(reply[0]))


def _seconds(reply: list[bytes]) -> float:
    return int(reply[0]) + int(reply[1]) / 1_000_000

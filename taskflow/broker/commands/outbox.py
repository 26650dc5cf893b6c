"""The outbox: followers of ended tasks, on their way to their queues.

`finish` writes what must follow a task into the outbox of the task's queue, in the step that ends it. From there it is delivered
to whichever queue and node, and confirmed; what nobody confirms is overdue after a while, and anybody delivers it. Only `finish`
has followers: a task that is ended by anything else (an order by hand, Go, the worker itself) has none, and an attempt that is to
be made again has none either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ...message.outcome import FollowUp, Outcome
from ..builder import builder, item_of
from ..command import Command, Plain
from ..keys import queue_keys
from ..words import Delivered, Written
from .dequeue import Taken
from .enqueue import MOST_BYTES

BATCH = 100
"""Followers of one script call at most."""

ONCE_SECONDS = 7 * 86400
"""So long a delivered follower leaves a marker while it may be in the outbox: whoever delivers it again finds that it was there,
also when it is gone. That is how long the node of the outbox may be away.
"""

CONFIRMED_SECONDS = 600
"""And so long after it was taken out of the outbox, for those who had seen it there before."""

NOT_AFTER_SECONDS = 300
"""So long after it was seen in the outbox a follower may be delivered: the marker of somebody else's delivery is still there."""

_build_deliver = builder("deliver", "not_after", once_seconds=ONCE_SECONDS)
_build_confirm = builder("confirm")
_build_overdue = builder("overdue", "overdue_seconds", limit=BATCH, most_bytes=MOST_BYTES)
_item = item_of("deliver").getter()


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A follower in the outbox, under its name there."""

    name: str
    follower: FollowUp


def entries_of(taken: Taken, outcome: Outcome) -> list[Entry]:
    """The followers of a task under their names: each is of one taking of the task, and begins with the queue that it goes to."""
    return [
        Entry(f"{follower.queue}\0{taken.lease_token}\0{number}\0{taken.id}", follower)
        for number, follower in enumerate(outcome.then)
    ]


def put_there(items: Sequence[tuple[Taken, Outcome]], replies: Sequence[Written]) -> list[Entry]:
    """The followers that a `finish` has put into the outbox for certain.

    One that was sent again and finds its task gone cannot tell whose outcome that was: what it would have put there is left to
    whoever looks into the outbox.
    """
    return [
        entry
        for (taken, outcome), reply in zip(items, replies, strict=True)
        if reply is Written.WRITTEN
        for entry in entries_of(taken, outcome)
    ]


@dataclass(frozen=True, slots=True)
class Deliveries:
    """What became of followers, in their order, and the server's time in Unix seconds."""

    replies: list[Delivered]
    server_time: float


@dataclass(frozen=True, slots=True)
class Overdue:
    """Followers that nobody has confirmed, how many were looked at for them, and the server's time in Unix seconds."""

    entries: list[Entry]
    looked_at: int
    server_time: float


def deliver(queue: str, followers: Sequence[FollowUp], not_after: float) -> Command[Deliveries]:
    """Put followers into their queue; however often it is done, each comes once.

    Args:
        queue: where all of them go.
        followers: at most `BATCH` of them.
        not_after: Unix seconds by the clock of that queue's server, after which nothing is written.
    """
    keys = queue_keys(queue)
    names = [key for one in followers for key in (keys.task(one.id), keys.once(one.id))]
    words = [word for one in followers for word in _item(one)]
    return _build_deliver(keys, _deliveries, names, words, not_after=not_after)


def confirm(queue: str, names: Sequence[str]) -> Command[int]:
    """Take followers out of the outbox of a queue, by their names there."""
    return _build_confirm(queue_keys(queue), int, names)


def shorten_marker(queue: str, task_id: str) -> Plain[bool]:
    """Let the marker of a follower that is out of the outbox end in `CONFIRMED_SECONDS`, instead of in days."""
    keys = queue_keys(queue)
    return Plain(("EXPIRE", keys.once(task_id), CONFIRMED_SECONDS), bool, keys.slot)


def overdue(queue: str, seconds: float, away: Sequence[tuple[str, float]] = ()) -> Command[Overdue]:
    """The followers that have lain in the outbox of a queue for so long, at most `BATCH` of them.

    Args:
        queue: whose outbox.
        seconds: after so long they are given, and again after so long.
        away: queues that cannot be delivered to, and for how many seconds followers for them are left alone.
    """
    words = [word for pair in away for word in pair]
    return _build_overdue(queue_keys(queue), _overdue, words, overdue_seconds=seconds)


def undelivered(queue: str) -> Plain[int]:
    """How many followers lie in the outbox of a queue."""
    keys = queue_keys(queue)
    return Plain(("ZCARD", keys.outbox_at), int, keys.slot)


def _deliveries(reply: list[Any]) -> Deliveries:
    return Deliveries([Delivered(one) for one in reply[1:]], float(reply[0]))


def _overdue(reply: list[Any]) -> Overdue:
    fields = iter(reply[2:])
    entries = [
        Entry(_text(name), FollowUp(_text(queue), _text(task_id), message, float(at)))
        for name, queue, task_id, at, message in zip(*[fields] * 5, strict=True)
    ]
    return Overdue(entries, reply[1], float(reply[0]))


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogateescape")

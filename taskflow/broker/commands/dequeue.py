"""Dequeue: take waiting tasks for a worker, and keep the leases on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec

from ..builder import builder, item_of
from ..command import Command, Plain
from ..keys import queue_keys
from ..words import Cancel, Notice

LEASE_SECONDS = 30
"""As in Asynq: how long a worker may run a task without a sign of life."""

BATCH = 400
"""Tasks of one dequeue at most: two milliseconds of the server, in which it serves nobody else."""

UNKNOWN_GRACE = 3
"""Seconds for which a task that came back because nobody knew its name is left to others: Go's workers ask once a second."""

MOST_HELD = 2000
"""How many of the newest active tasks are looked through: what a dequeue took whose reply was lost is among them."""

_build_dequeue = builder(
    "dequeue", "taken worker token count lease_seconds", at_once=True, unknown_grace=UNKNOWN_GRACE
)
_build_held = builder("held", "worker", limit=MOST_HELD)
_build_extend = builder("extend", "lease_seconds")
_extended = item_of("extend").getter()


CANCELLED_AT = float(Cancel.LONG_AGO.value)
"""Until when a task may start that somebody has cancelled, in Unix seconds."""


class Taken(msgspec.Struct, frozen=True, gc=False):
    """A task that was taken: its id and its message's bytes, and what its hash remembers of earlier attempts.

    `lease_token` is that of the call that took it, and of all that the call took: with id and token the worker proves that it
    still holds the task. `crashes` and `recoveries` say how often it has cost a process or a lease; `first_failed_at` is in Unix
    seconds, 0: never. `expires_at` too: if it has not started by then it is not to be run; 0: no matter when, and `CANCELLED_AT`:
    somebody has cancelled it.
    """

    id: str
    message: bytes
    lease_token: str
    crashes: int = 0
    recoveries: int = 0
    first_failed_at: int = 0
    expires_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Dequeued:
    """What a dequeue brought."""

    tasks: list[Taken]
    paused: bool
    orphans: int
    """Ids in `pending` that had no hash; they are kept in the queue's `orphans`."""
    server_time: float
    """Unix seconds, by the server's clock."""
    unspent: bool = False
    """It is a repetition, and its first copy never ran or found nothing. A repetition does not look for tasks: ask anew, by
    another token.
    """
    left: bool = False
    """All that waits was put back because no worker here knew its name, and is left to others for a while."""


def dequeue(queue: str, worker: str, token: str, count: int, lease: int = LEASE_SECONDS) -> Command[Dequeued]:
    """Take up to `count` tasks for a worker, for `lease` seconds.

    A repetition with the same `token` gets the same tasks, and no others.
    """
    keys = queue_keys(queue)
    return _build_dequeue(
        keys,
        lambda reply: _parse(reply, token),
        taken=keys.taken_by(worker),
        worker=worker,
        token=token,
        count=min(count, BATCH),
        lease_seconds=lease,
    )


def _parse(reply: list[Any], token: str) -> Dequeued:
    server_time, notice, orphans, histories = reply[:4]
    fields = iter(reply[4:])
    tasks = [
        Taken(task_id.decode("utf-8", "surrogateescape"), message, token)
        for task_id, message in zip(fields, fields, strict=True)
    ]
    for number, stored in zip(histories[::2], histories[1::2], strict=True):
        taken = tasks[number]
        tasks[number] = Taken(taken.id, taken.message, token, *_history(stored))
    return Dequeued(
        tasks,
        paused=notice == Notice.PAUSED,
        orphans=orphans,
        server_time=float(server_time),
        unspent=notice == Notice.NEVER_RAN,
        left=notice == Notice.LEFT_TO_OTHERS,
    )


def _history(stored: bytes) -> tuple[int, int, int, float]:
    """The four numbers. What is no number counts as 0: a bad field of one task must not keep its whole batch from being run."""
    crashes, recoveries, first_failed_at, expires_at = stored.split()
    moment = float(expires_at)
    return (
        _count(crashes),
        _count(recoveries),
        _count(first_failed_at),
        moment if math.isfinite(moment) else 0.0,
    )


def _count(stored: bytes) -> int:
    text = stored[:17]
    return int(text) if text.isdigit() else 0


def backlog(queue: str) -> Plain[int]:
    """How many tasks wait to be taken: one plain command, which costs the server much less than a dequeue in vain."""
    keys = queue_keys(queue)
    return Plain(("LLEN", keys.pending), int, keys.slot)


def held(queue: str, worker: str) -> Command[list[Taken]]:
    """The tasks that the server says this worker holds, among the newest that are active."""
    return _build_held(queue_keys(queue), _held, worker=worker)


def _held(reply: list[Any]) -> list[Taken]:
    fields = iter(reply)
    return [
        Taken(
            task_id.decode("utf-8", "surrogateescape"),
            message,
            token.decode(),
            *(_history(history) if history else ()),
        )
        for task_id, message, token, history in zip(*[fields] * 4, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Extended:
    """What became of leases that were to be extended.

    Args:
        lost: the ids of tasks that the worker does not hold any more.
        cancelled: the ids of tasks that somebody has cancelled; each with the seconds after which its process is to be killed,
            None: it is not.
    """

    lost: list[str]
    cancelled: dict[str, float | None]


def extend(queue: str, tasks: Sequence[Taken], lease: int = LEASE_SECONDS) -> Command[Extended]:
    """Extend the leases of a worker on tasks to `lease` seconds."""
    keys = queue_keys(queue)
    prefix = keys.task_prefix
    return _build_extend(
        keys,
        _extended_by,
        [prefix + task.id for task in tasks],
        chain.from_iterable(map(_extended, tasks)),
        lease_seconds=lease,
    )


def _extended_by(reply: list[list[bytes]]) -> Extended:
    lost, marked = ([item.decode("utf-8", "surrogateescape") for item in items] for items in reply)
    return Extended(lost, {one: grace_of(mark) for one, mark in zip(marked[::2], marked[1::2], strict=True)})


def grace_of(mark: str) -> float | None:
    """The seconds that a cancelled task has until its process is killed, as its mark says; None: it is not killed."""
    try:
        seconds = float(mark)
    except ValueError:
        return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None

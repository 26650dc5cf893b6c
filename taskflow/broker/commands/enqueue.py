"""Enqueue: new tasks, now or later, unique or not, or into an aggregation group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ...connection.topology import key_slot
from ...message.task_message import TaskMessage
from ..command import Command, Plain
from ..keys import ALL_QUEUES, queue_keys
from ..scripts import load

BATCH = 200
"""Items of one script call at most: a script stays under 5 ms."""


class Enqueued(Enum):
    """What became of a new task."""

    CREATED = 1
    ALREADY_THERE = 2
    """A repeated call found the task that its first copy had written."""
    ID_TAKEN = 0
    DUPLICATE = -1


@dataclass(frozen=True, slots=True)
class NewTask:
    """A message and when it is to run.

    `delay` is in seconds from now by the server's clock, `process_at` a Unix time; both None: now.
    `lock_seconds` is the time to live of the lock that the message's `unique_key` names; 0: no lock. `durable` waits until
    a replica has it too; "strict" counts a node without replicas as a failure.
    """

    message: TaskMessage
    delay: float | None = None
    process_at: float | None = None
    lock_seconds: int = 0
    durable: bool | str = False


@dataclass(frozen=True, slots=True)
class EnqueueReply:
    """The outcome for one new task; `holder` is the task that holds the lock of a duplicate."""

    outcome: Enqueued
    holder: str | None = None


def enqueue(queue: str, tasks: Sequence[NewTask]) -> Command[list[EnqueueReply]]:
    """Put tasks into one queue, in their order: all of them in one atomic step, each with an outcome of its
    own.
    """
    keys = queue_keys(queue)
    names = [keys.pending, keys.scheduled, keys.groups]
    args: list[Any] = [0]
    for task in tasks:
        _add(task, names, args, keys.task_prefix, keys.prefix)
    durable = any(task.durable for task in tasks)
    return Command(load("enqueue"), names, args, _parse, keys.slot, resend_flag=0, durable=durable)


def _add(task: NewTask, names: list[str], args: list[Any], task_prefix: str, prefix: str) -> None:
    message = task.message
    names.append(task_prefix + message.id)
    if task.lock_seconds:
        names.append(message.unique_key)
    group = message.group_key
    if group:
        names.append(f"{prefix}g:{group}")
    mode, at = "p", ""
    if task.delay is not None:
        mode, at = "d", f"{task.delay:.6f}"
    elif task.process_at is not None:
        mode, at = "a", f"{task.process_at:.6f}"
    args += (message.id, message.encode(), message.identity_size(), mode, at, task.lock_seconds, group)


def _parse(reply: list[Any]) -> list[EnqueueReply]:
    return [
        EnqueueReply(Enqueued(item))
        if isinstance(item, int)
        else EnqueueReply(Enqueued.DUPLICATE, item.decode())
        for item in reply
    ]


def publish_queues(queues: Sequence[str]) -> Plain[int]:
    """Enter queue names in the index of all queues, which the tools of both languages read."""
    return Plain(("SADD", ALL_QUEUES, *queues), int, slot=key_slot(ALL_QUEUES))

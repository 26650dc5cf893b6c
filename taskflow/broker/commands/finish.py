"""Finish: write down how attempts ended, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

import msgspec

from ...states import Verb
from ..command import Command
from ..keys import day_of, queue_keys
from ..scripts import load

BATCH = 100
"""Items of one script call at most."""

ARCHIVE_SECONDS = 90 * 86400
"""As in Asynq: archived tasks are kept for 90 days ..."""

ARCHIVE_SIZE = 10_000
"""... and ten thousand of them per queue."""


class Written(Enum):
    """What became of a verdict."""

    WRITTEN = 1
    ALREADY_WRITTEN = 2
    REFUSED = 0
    """The worker does not hold the task any more: somebody else has recovered it."""


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """How the attempt at one task ended.

    Args:
        id: the task.
        verb: what to write.
        receipt: what the dequeue gave with the task; proves that it is still held.
        message: the message to store instead; empty: as it is.
        at: seconds: retention, or the delay until the next attempt; 1 for a task that is handed back and had started.
        result: the return value as JSON; empty: none.
        error: why it was archived, where the message cannot say it.
        lock: the key of its unique lock; empty: none.
    """

    id: str
    verb: Verb
    receipt: str
    message: bytes = b""
    at: float = 0
    result: bytes = b""
    error: str = ""
    lock: str = ""


_DONE = "D"
"""An item of three words: the verb of most."""

_WRITTEN = {written.value: written for written in Written}


def finish(queue: str, verdicts: Sequence[Verdict], now: float) -> Command[list[Written]]:
    """Write the verdicts of one queue.

    `now` is the server's time in Unix seconds: it names the day's counters.
    """
    keys = queue_keys(queue)
    day = day_of(now)
    names = [
        keys.active,
        keys.lease,
        keys.pending,
        keys.scheduled,
        keys.retry,
        keys.due,
        keys.archived,
        keys.completed,
        keys.processed,
        keys.processed_on(day),
        keys.failed,
        keys.failed_on(day),
    ]
    task_prefix, unique_prefix = keys.task_prefix, keys.unique_prefix
    args: list[Any] = [0, task_prefix, keys.own + "verdict:", ARCHIVE_SECONDS, ARCHIVE_SIZE]
    for verdict in verdicts:
        names.append(task_prefix + verdict.id)
        if verdict.verb is Verb.DONE and not verdict.lock:
            args += (verdict.id, _DONE, verdict.receipt)
            continue
        # Only a lock of this very queue is released: a message may name any key (design, section 3, rule 9).
        lock = verdict.lock.startswith(unique_prefix)
        if lock:
            names.append(verdict.lock)
        args += (
            verdict.id,
            verdict.verb,
            verdict.receipt,
            verdict.message,
            verdict.at,
            verdict.result,
            verdict.error,
            1 if lock else 0,
        )
    return Command(load("finish"), names, args, _parse, keys.slot, resend_flag=0)


def _parse(reply: list[int]) -> list[Written]:
    return [_WRITTEN[item] for item in reply]

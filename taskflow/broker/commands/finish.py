"""Finish: write down how attempts ended, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ...message.outcome import MOST_FOLLOWERS, Outcome
from ...states import Verb
from ..builder import builder
from ..command import Command
from ..keys import day_of, queue_keys
from ..words import Written
from .dequeue import Taken
from .outbox import Entry, entries_of

BATCH = 250
"""Items of one script call at most."""

ARCHIVE_SECONDS = 90 * 86400
"""As in Asynq: archived tasks are kept for 90 days ..."""

ARCHIVE_SIZE = 10_000
"""... and ten thousand of them per queue."""


_build = builder(
    "finish",
    "processed_day failed_day channel_prefix batches",
    at_once=True,
    archive_seconds=ARCHIVE_SECONDS,
    archive_size=ARCHIVE_SIZE,
)

_ENDS = frozenset({Verb.DONE.value, Verb.COMPLETE.value})
"""The outcomes that may have followers."""

_WRITTEN = {written.value: written for written in Written}

_VERBS = frozenset(verb.value for verb in Verb)

_encode = msgspec.msgpack.Encoder().encode


def finish(
    queue: str, items: Sequence[tuple[Taken, Outcome]], now: float, worker: str = ""
) -> Command[list[Written]]:
    """Write the outcomes of tasks of one queue.

    Args:
        queue: its name.
        items: tasks as they were taken, and how the attempt at each ended.
        now: the server's time in Unix seconds: it names the day's counters.
        worker: whose attempts they were.

    Raises:
        ValueError: an outcome has a verb that does not exist, or followers that it cannot have.
    """
    keys = queue_keys(queue)
    batches: dict[str, list[int]] = {}
    others: list[int] = []
    for index, (taken, outcome) in enumerate(items):
        if outcome.verb != Verb.DONE or outcome.lock or outcome.then:
            others.append(index)
        elif taken.lease_token in batches:
            batches[taken.lease_token].append(index)
        else:
            batches[taken.lease_token] = [index]
    task_prefix = keys.task_prefix
    names: list[str] = []
    words: list[Any] = []
    for token, batch in batches.items():
        words += (token, len(batch))
        words += [items[index][0].id for index in batch]
    for index in others:
        taken, outcome = items[index]
        names.append(task_prefix + taken.id)
        # Only a lock of this very queue is released: a message may name any key, also one on another node.
        lock = outcome.lock.startswith(keys.unique_prefix)
        if lock:
            names.append(outcome.lock)
        entries = _followers(taken, outcome)
        facts = _facts(taken, outcome, worker, entries, lock=lock)
        words += (taken.id, outcome.verb, _encode(facts), outcome.message, outcome.result)
        for entry in entries:
            words += (entry.name, entry.follower.message)
    order = [index for batch in batches.values() for index in batch] + others
    day = day_of(now)
    return _build(
        keys,
        lambda reply: _parse(reply, order),
        names,
        words,
        processed_day=keys.processed_on(day),
        failed_day=keys.failed_on(day),
        channel_prefix=keys.verdict_channel(""),
        batches=len(batches),
    )


def _followers(taken: Taken, outcome: Outcome) -> Sequence[Entry]:
    """What is to go into the outbox with an outcome."""
    if not outcome.then:
        return ()
    if outcome.verb not in _ENDS or len(outcome.then) > MOST_FOLLOWERS:
        raise ValueError(f"an outcome {outcome.verb[:20]!r} cannot have {len(outcome.then)} followers")
    return entries_of(taken, outcome)


def _facts(
    taken: Taken, outcome: Outcome, worker: str, entries: Sequence[Entry], *, lock: bool
) -> dict[str, Any]:
    """What the script is told of an outcome, besides verb, message and result: see its head."""
    if outcome.verb not in _VERBS:
        raise ValueError(f"there is no verb {outcome.verb[:20]!r}")
    facts: dict[str, Any] = {"token": taken.lease_token}
    if outcome.delay:
        facts["delay"] = outcome.delay
    if lock:
        facts["lock"] = True
    if outcome.error:
        facts["error"] = outcome.error
    if outcome.attempt is not None:
        attempt = outcome.attempt
        facts["attempt"] = {
            "at": attempt.at,
            "seconds": attempt.seconds,
            "worker": worker,
            "error": attempt.error,
        }
    if entries:
        facts["then"] = [(one.follower.queue, one.follower.id, one.follower.at) for one in entries]
    return facts


def _parse(reply: Any, order: Sequence[int]) -> list[Written]:
    """In the order of the items, which is not that of the script. One number says that all are written."""
    if reply == Written.WRITTEN.value:
        return [Written.WRITTEN] * len(order)
    found = dict(zip(order, reply, strict=True))
    return [_WRITTEN[found[index]] for index in range(len(order))]

"""Finish: write down how attempts ended, in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from typing import Any

import msgspec

from ...attempts import attempt_line
from ...message.kept import ARCHIVE_SECONDS
from ...message.outcome import MOST_FOLLOWERS, AttemptRecord, Outcome, is_plain
from ...states import Verb
from ..builder import builder
from ..command import Command
from ..keys import day_of, queue_keys
from ..words import Written
from .dequeue import Taken
from .outbox import Entry, entries_of
from .report import facts_of

BATCH = 250
"""Items of one script call at most."""

DONE_BATCH = 500
"""Tasks of one call that are simply done, if it has nothing else: each is half the work of a task that is taken, so a call of as
many is no longer than a dequeue.
"""

ARCHIVE_SIZE = 10_000
"""As in Asynq: archived tasks are kept for 90 days (`ARCHIVE_SECONDS`), and ten thousand of them per queue."""


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
    queue: str,
    items: Sequence[tuple[Taken, Outcome]],
    now: float,
    worker: str = "",
    done: Sequence[Taken] = (),
) -> Command[list[Written]]:
    """Write the outcomes of tasks of one queue.

    Args:
        queue: its name.
        items: tasks as they were taken, and how the attempt at each ended.
        now: the server's time in Unix seconds: it names the day's counters.
        worker: whose attempts they were.
        done: tasks that are simply done. In the reply they come after `items`.

    Raises:
        ValueError: an outcome has a verb that does not exist, or followers that it cannot have.
    """
    keys = queue_keys(queue)
    batches: dict[str, list[int]] = {}
    others: list[int] = []
    for index, (taken, outcome) in enumerate(items):
        if not is_plain(outcome):
            others.append(index)
        elif taken.lease_token in batches:
            batches[taken.lease_token].append(index)
        else:
            batches[taken.lease_token] = [index]
    task_prefix = keys.task_prefix
    names: list[str] = []
    words: list[Any] = []
    for token, batch in batches.items():
        words += (token, _packed([items[index][0].id for index in batch]))
    groups = _by_token(done)
    for token, group in groups.items():
        words += (token, _packed([done[index].id for index in group]))
    for index in others:
        taken, outcome = items[index]
        names.append(task_prefix + taken.id)
        # Only a lock of this very queue is released: a message may name any key, also one on another node.
        lock = outcome.lock.startswith(keys.unique_prefix)
        if lock:
            names.append(outcome.lock)
        entries = _followers(taken, outcome)
        facts = _facts(queue, taken, outcome, worker, entries, lock=lock)
        words += (taken.id, outcome.verb, _encode(facts), outcome.message, outcome.result)
        for entry in entries:
            words += (entry.name, entry.follower.message)
    day = day_of(now)
    return _build(
        keys,
        lambda reply: _parse(reply, len(items), [*batches.values()], [*groups.values()], others),
        names,
        words,
        processed_day=keys.processed_on(day),
        failed_day=keys.failed_on(day),
        channel_prefix=keys.verdict_channel(""),
        batches=len(batches) + len(groups),
    )


def _packed(ids: list[str]) -> bytes:
    """One word in the place of hundreds, each of which would be packed here and kept by the server for itself."""
    try:
        return _encode(ids)
    except UnicodeEncodeError:
        # An id of somebody else's that is no text. To msgpack bytes are another kind of value, which scripts cannot read.
        found = [one.encode("utf-8", "surrogateescape") for one in ids]
        return b"\xdd%b%b" % (_size(found), b"".join([b"\xdb%b%b" % (_size(one), one) for one in found]))


def _size(value: Sized) -> bytes:
    return len(value).to_bytes(4, "big")


def _by_token(done: Sequence[Taken]) -> Mapping[str, Sequence[int]]:
    """The positions of tasks by their lease token. Most often all were taken by one call."""
    tokens = {taken.lease_token for taken in done}
    if len(tokens) == 1:
        return {tokens.pop(): range(len(done))}
    groups: dict[str, list[int]] = {token: [] for token in tokens}
    for index, taken in enumerate(done):
        groups[taken.lease_token].append(index)
    return groups


def _followers(taken: Taken, outcome: Outcome) -> Sequence[Entry]:
    """What is to go into the outbox with an outcome."""
    if not outcome.then:
        return ()
    if outcome.verb not in _ENDS or len(outcome.then) > MOST_FOLLOWERS:
        raise ValueError(f"an outcome {outcome.verb[:20]!r} cannot have {len(outcome.then)} followers")
    return entries_of(taken, outcome)


def _facts(
    queue: str, taken: Taken, outcome: Outcome, worker: str, entries: Sequence[Entry], *, lock: bool
) -> dict[str, Any]:
    """What the script is told of an outcome, besides verb, message and result: see its head."""
    if outcome.verb not in _VERBS:
        raise ValueError(f"there is no verb {outcome.verb[:20]!r}")
    facts: dict[str, Any] = {"token": taken.lease_token}
    if outcome.delay:
        facts["delay"] = outcome.delay
    if lock:
        facts["lock"] = True
    if outcome.verb == Verb.SNOOZE and outcome.number:
        facts["snoozed"] = True
    if outcome.error:
        facts["error"] = outcome.error
    if outcome.attempt is not None:
        facts["attempt"] = attempt_words(outcome.attempt, worker)
    if outcome.failure_retention is not None:
        facts["keep"] = outcome.failure_retention
    if outcome.said:
        facts["said"] = (queue_keys(queue).reports_channel(taken.id), facts_of(outcome.said))
    if entries:
        facts["then"] = [(one.follower.queue, one.follower.id, one.follower.at) for one in entries]
    return facts


def attempt_words(attempt: AttemptRecord, worker: str) -> tuple[str, str]:
    """An attempt that failed, as scripts keep it with its task."""
    return attempt_line(
        attempt.at, attempt.seconds, worker, attempt.type, attempt.module, attempt.text, attempt.traceback
    )


def _parse(
    reply: Any, items: int, batches: list[list[int]], groups: list[Sequence[int]], others: list[int]
) -> list[Written]:
    """In the order of the items and of what is done, which is not that of the script. One number says that all are written."""
    count = items + sum(map(len, groups))
    if reply == Written.WRITTEN.value:
        return [Written.WRITTEN] * count
    order = [index for batch in batches for index in batch]
    order += [items + index for group in groups for index in group]
    found = dict(zip(order + others, reply, strict=True))
    return [_WRITTEN[found[index]] for index in range(count)]

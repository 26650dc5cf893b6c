"""Putting things right: the loops around the scripts that do."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import replace

from ...broker.command import Plain, same
from ...broker.commands.maintenance import recover
from ...broker.commands.repairs import Repair, Repaired, RepairItem
from ...broker.commands.sweep import BATCH, NOWHERE, reclaim, release_locks, repair
from ...broker.keys import queue_keys
from ...broker.walk import SECOND_LOOK
from ...connection.steps import value_or_raise
from ...connection.topology import key_slot
from ...errors import DecodeError
from ...message.task_message import TaskMessage
from ..both import AnyBroker
from .image import QueueImage, empty_groups, stale_sets, unlisted_groups

LATE_SECONDS = 60
"""A lease that ended so long ago should have been recovered: a worker of ours does it within seconds."""

RECORD_SECONDS = 60
"""The end that a record gets which has none; whoever is alive writes it again within seconds."""


async def repair_all(
    broker: AnyBroker, queue: str, items: Sequence[RepairItem], *, dry: bool
) -> list[Repaired]:
    """Repair all items, in calls of bounded length."""
    left = deque(items)
    done: list[Repaired] = []
    while left:
        replies = await broker.run(repair(queue, [left[at] for at in range(min(len(left), BATCH))], dry=dry))
        for repaired in replies:
            left.popleft()
            done.append(repaired)
    return done


async def heal_tasks(broker: AnyBroker, queue: str, items: Sequence[RepairItem]) -> list[Repaired]:
    """Put tasks right. What is active without a lease and an owner is looked at twice, some seconds apart."""
    done = await repair_all(broker, queue, await _with_expiry(broker, queue, items), dry=False)
    doubtful = [repaired for repaired in done if repaired.repair is Repair.UNLEASED]
    if doubtful:
        await broker.pause(SECOND_LOOK)
        again = [replace(repaired.item, seen=repaired.detail) for repaired in doubtful]
        done = [repaired for repaired in done if repaired.repair is not Repair.UNLEASED]
        done += await repair_all(broker, queue, again, dry=False)
    return done


async def _with_expiry(broker: AnyBroker, queue: str, items: Sequence[RepairItem]) -> list[RepairItem]:
    """A completed task that stands nowhere is kept as long as its message says."""
    keys = queue_keys(queue)
    nowhere = [item.id for item in items if item.where == NOWHERE]
    ends: dict[str, int] = {}
    for batch in _batches(nowhere):
        # One by one the few messages that are asked for: they may be large.
        states = await broker.run_many(
            [Plain(("HGET", keys.task(id), "state"), same, keys.slot) for id in batch]
        )
        for id, state in zip(batch, states, strict=True):
            if value_or_raise(state) == b"completed":
                message = await broker.run(Plain(("HGET", keys.task(id), "msg"), same, keys.slot))
                ends[id] = _expires_at(message or b"")
    return [
        replace(item, expires_at=ends[item.id]) if item.where == NOWHERE and item.id in ends else item
        for item in items
    ]


def _expires_at(message: bytes) -> int:
    try:
        decoded = TaskMessage.decode(message)
    except DecodeError:
        return 0
    return decoded.completed_at + decoded.retention


async def dangling_locks(broker: AnyBroker, queue: str, locks: Iterable[str]) -> list[str]:
    """The locks whose task is gone or does not own them."""
    found: list[str] = []
    for batch in _batches(locks):
        verdicts = await broker.run(release_locks(queue, batch, dry=True))
        found += [lock for lock, dangling in zip(batch, verdicts, strict=True) if dangling]
    return found


async def release(broker: AnyBroker, queue: str, locks: Iterable[str]) -> int:
    """Release such locks; how many it was."""
    released = 0
    for batch in _batches(locks):
        done = await broker.run(release_locks(queue, batch))
        released += sum(done)
    return released


async def heal_groups(broker: AnyBroker, queue: str, image: QueueImage) -> AsyncIterator[str]:
    """List groups that nobody knows of, give the tasks of stale sets back, forget what is empty."""
    keys = queue_keys(queue)
    prefix = keys.group("")
    listed = 0
    for key, group in unlisted_groups(image):
        name = key.removeprefix(prefix)
        if name == group:
            await broker.run(Plain(("SADD", keys.groups, name), int, keys.slot))
        else:
            # A set: registered as one whose time is over, it is given back to its group below.
            await broker.run(Plain(("ZADD", keys.aggregation_sets, "NX", 1, key), int, keys.slot))
        listed += 1
    if listed:
        yield f"aggregation groups or sets that nobody knew of are known again: {listed}"
    empty = empty_groups(image)
    if not listed and not empty and not stale_sets(image):
        return
    moved = sets = groups = 0
    while done := await broker.run(reclaim(queue, empty)):
        moved, sets, groups = moved + done.moved, sets + done.sets, groups + done.groups
        empty = []
    if moved:
        yield f"tasks of unfinished aggregations are back in their groups: {moved}"
    if sets or groups:
        yield f"names of aggregation sets and groups that were empty are forgotten: {sets + groups}"


async def count_late(broker: AnyBroker, queue: str) -> int:
    """How many leases ended long ago, of tasks that nobody took over."""
    keys = queue_keys(queue)
    now, _ = await broker.run(Plain(("TIME",), same, keys.slot))
    since = int(now) - LATE_SECONDS
    (count,) = await broker.run_many([Plain(("ZCOUNT", keys.lease, "-inf", since), int, keys.slot)])
    return count if isinstance(count, int) else 0


async def recover_all(broker: AnyBroker, queue: str) -> int:
    """Give tasks back whose lease has ended; how many."""
    given = 0
    while ids := await broker.run(recover(queue)):
        given += len(ids)
    return given


async def end_keys(broker: AnyBroker, queue: str, names: Iterable[str]) -> int:
    """Give an end to keys of ours of a kind that we know, and that should have one; how many."""
    keys = queue_keys(queue)
    known = [name for name in names if name.startswith(keys.taken_by(""))]
    return sum([await broker.run(Plain(("EXPIRE", name, 60), int, keys.slot)) for name in known])


async def endless_records(broker: AnyBroker, names: Sequence[str]) -> list[str]:
    """The records of workers and schedulers that have no end."""
    found: list[str] = []
    for batch in _batches(names):
        ttls = await broker.run_many([Plain(("TTL", name), int, key_slot(name)) for name in batch])
        found += [name for name, ttl in zip(batch, ttls, strict=True) if value_or_raise(ttl) == -1]
    return found


async def end_records(broker: AnyBroker, names: Sequence[str]) -> None:
    """Give them one."""
    for batch in _batches(names):
        for reply in await broker.run_many(
            [Plain(("EXPIRE", name, RECORD_SECONDS), int, key_slot(name)) for name in batch]
        ):
            value_or_raise(reply)


def _batches(items: Iterable[str]) -> Iterator[list[str]]:
    listed = list(items)
    for start in range(0, len(listed), BATCH):
        yield listed[start : start + BATCH]

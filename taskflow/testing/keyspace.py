"""What must hold of a queue's keys, for tests: `assert not check_queue(broker, queue)`."""

from __future__ import annotations

from ..broker.command import Plain
from ..broker.commands.inspect import text
from ..broker.keys import queue_keys
from ..broker.sync import Broker
from ..connection.coroutines import complete
from ..errors import DecodeError
from ..inspector.both import AnyBroker, ThreadBroker
from ..inspector.doctor.image import (
    QueueImage,
    empty_groups,
    endless_keys,
    inconsistencies,
    stale_sets,
    unlisted_groups,
)
from ..inspector.doctor.reading import Names, read_facts, read_image, scan_queue
from ..message.task_message import TaskMessage


def check_queue(broker: Broker, queue: str) -> list[str]:
    """Everything that is wrong with a queue, a line for each; nothing while all is well.

    Each id stands in exactly one place, the one that its task's state names; a task is active if and only if
    it has a lease; groups with tasks are listed, and sets of them registered; the holder of a lock exists and
    names it; each follower in the outbox has its time; a key of ours has an owner or an end.

    It looks at one thing after the other, so nobody may work on the queue meanwhile.

    Example:
        >>> check_queue(Broker(SyncDriver("redis://localhost")), "images")   # doctest: +SKIP
        ["task 4f…: active-without-lease (state active, in active)"]
    """
    return complete(_check_queue(ThreadBroker(broker), queue))


async def _check_queue(broker: AnyBroker, queue: str) -> list[str]:
    names = await scan_queue(broker, queue) or Names()
    image = await read_image(broker, queue, names)
    lines = [f"key {key} is a {kind}, not a {wanted}" for key, kind, wanted in image.wrong_types]
    async for task_id, facts in read_facts(broker, queue, sorted({*names.tasks, *image.stands})):
        for fault in inconsistencies(image, task_id, facts):
            where = image.where(task_id) or "nowhere"
            lines.append(f"task {task_id}: {fault} (state {facts.state or 'none'}, in {where})")
    lines += [f"{key} has tasks of group {group}, and is not listed" for key, group in unlisted_groups(image)]
    lines += [f"group {name} is listed and empty" for name in empty_groups(image)]
    lines += [f"set {key} is past its time, or gone" for key in stale_sets(image)]
    lines += [f"followers: {name!r} {why}" for name, why in await _followers(broker, queue)]
    lines += [f"lock {key} is held by {holder}: {why}" for key, holder, why in await _dangling(broker, image)]
    lines += [f"key {key} has neither an owner nor an end" for key in endless_keys(image)]
    return lines


async def _followers(broker: AnyBroker, queue: str) -> list[tuple[str, str]]:
    """Followers in the outbox of which nobody would see that they are overdue, and times of none."""
    keys = queue_keys(queue)
    names = await broker.run(Plain(("ZRANGE", keys.outbox_at, 0, -1), list, keys.slot))
    entries = await broker.run(Plain(("HMGET", keys.outbox, *names), list, keys.slot)) if names else []
    found = [
        (text(name), "has a time in the outbox and is not there")
        for name, entry in zip(names, entries, strict=True)
        if entry is None
    ]
    without = await broker.run(Plain(("HLEN", keys.outbox), int, keys.slot)) - len(names) + len(found)
    return found + ([(queue, f"has {without} in its outbox that have no time there")] if without else [])


async def _dangling(broker: AnyBroker, image: QueueImage) -> list[tuple[str, str, str]]:
    """Locks whose holder is gone or does not name them; not asked of the script that releases them."""
    keys = queue_keys(image.queue)
    found = []
    for lock, holder in image.locks.items():
        message, named = await broker.run(
            Plain(("HMGET", keys.task(holder), "msg", "unique_key"), list, keys.slot)
        )
        if message is None:
            found.append((lock, holder, "there is no such task"))
        elif lock not in (text(named or b""), _named_by(message)):
            found.append((lock, holder, "the task does not own it"))
    return found


def _named_by(message: bytes) -> str:
    try:
        return TaskMessage.decode(message).unique_key
    except DecodeError:
        return ""

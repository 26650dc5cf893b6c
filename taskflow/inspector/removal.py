"""Removing a queue with everything that belongs to it, in bounded steps."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..broker.commands.enqueue import publish_queues
from ..broker.commands.inspect import count_queue
from ..broker.commands.queues import BATCH, remove_keys, remove_step, resume, scan_keys, unlist
from ..broker.keys import day_of, queue_keys
from ..broker.words import Emptied
from ..errors import QueueNotEmpty
from .both import AnyBroker
from .queues import require

_ROUNDS = 5
"""How often a queue that fills again is emptied before we say so."""


async def remove(broker: AnyBroker, queue: str, *, force: bool) -> None:
    """Remove a queue; raises QueueNotFound or QueueNotEmpty."""
    await require(broker, queue)
    if not force:
        await refuse_tasks(broker, queue)
    paused_here = False
    for _ in range(_ROUNDS):
        paused_here |= await _empty(broker, queue, force=force)
        if await _delete_keys(broker, queue):
            await _unlist(broker, queue)
            return
    if paused_here:
        await broker.run(resume(queue))
    raise QueueNotEmpty(f"queue {queue!r} gets new tasks while it is being removed; stop its clients first")


async def refuse_tasks(broker: AnyBroker, queue: str) -> None:
    """Raise QueueNotEmpty if there are any. A hash that stands in no list is a task too: nothing disappears without --force."""
    step = await broker.run(remove_step(queue, force=False))
    if step.outcome is Emptied.RUNS_TASKS:
        raise _running(queue, step.left)
    if step.outcome is Emptied.HOLDS_TASKS:
        raise QueueNotEmpty(f"queue {queue!r} holds tasks; `taskflow queue rm --force` deletes them with it")
    if step.outcome is Emptied.HAS_FOLLOWERS:
        raise _undelivered(queue, step.left)
    tasks = queue_keys(queue).task_prefix
    async for found in _scan(broker, queue, tasks):
        if not found:
            continue
        raise QueueNotEmpty(
            f"queue {queue!r} holds tasks that stand in no list; `taskflow task run` puts one back "
            "by its id, `taskflow queue rm --force` deletes them with the queue"
        )


async def _empty(broker: AnyBroker, queue: str, *, force: bool) -> bool:
    """Delete the tasks, step by step; whether the queue was paused for it."""
    paused_here = False
    while True:
        step = await broker.run(remove_step(queue, force=force))
        paused_here |= step.paused_now
        if step.outcome is not Emptied.GO_ON:
            if paused_here:
                await broker.run(resume(queue))
            if step.outcome is Emptied.RUNS_TASKS:
                raise _running(queue, step.left)
            if step.outcome is Emptied.HAS_FOLLOWERS:
                raise _undelivered(queue, step.left)
            raise QueueNotEmpty(f"queue {queue!r} has just got a new task; nothing of it was removed")
        if not step.left:
            return paused_here


async def _delete_keys(broker: AnyBroker, queue: str) -> bool:
    """Delete whatever else carries the queue's name; False when the queue has tasks again."""
    keys = queue_keys(queue)
    for prefix in (keys.own, keys.prefix):
        async for found in _scan(broker, queue, prefix):
            for start in range(0, len(found), BATCH):
                deleted = await broker.run(remove_keys(queue, found[start : start + BATCH]))
                if deleted == Emptied.HOLDS_TASKS.value:
                    return False
    return True


async def _scan(broker: AnyBroker, queue: str, prefix: str) -> AsyncIterator[list[bytes]]:
    cursor = "0"
    while True:
        scanned = await broker.run(scan_keys(queue, prefix, cursor))
        yield scanned.keys
        cursor = scanned.cursor
        if cursor == "0":
            return


async def _unlist(broker: AnyBroker, queue: str) -> None:
    """Out of the index; in again, if a client has come back meanwhile: its task must stay visible."""
    await broker.run(unlist(queue))
    if (await broker.run(count_queue(queue, day_of(0)))).is_trace:
        await broker.run(publish_queues([queue]))


def _undelivered(queue: str, count: int) -> QueueNotEmpty:
    what = "a follower of a task is" if count == 1 else f"{count} followers of tasks are"
    return QueueNotEmpty(
        f"{what} still to be delivered from queue {queue!r} to other queues: start a worker for it, which does "
        "that, and remove it then; `taskflow queue rm --force` drops them"
    )


def _running(queue: str, count: int) -> QueueNotEmpty:
    tasks = "an active task" if count == 1 else f"{count} active tasks"
    return QueueNotEmpty(
        f"queue {queue!r} has {tasks}, so it cannot be removed; pause it, wait until nothing is active, "
        "then remove it"
    )

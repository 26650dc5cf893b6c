"""A queue with partitions, seen and administered as one: which partitions there are, and what they are together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from ..broker.commands.inspect import Page, QueueCounts, count_queue, read_row
from ..broker.commands.partitions import are_listed
from ..broker.keys import day_of
from ..errors import BrokerError, InvalidOption, TaskNotFound
from ..partitions import partition_names, split_queue
from ..states import State
from .both import AnyBroker
from .values import QueueInfo

_ONE_LOOK = 1.0
"""Seconds for the index, where it is of use but not needed."""


async def parts_of(broker: AnyBroker, queue: str) -> list[str]:
    """The partitions that there are of a queue, by the names that they are stored under.

    A queue without partitions is its own only one, and so is a partition that is named itself.
    """
    if split_queue(queue)[1]:
        return [queue]
    names = partition_names(queue)
    is_listed, *flags = await broker.run(are_listed(names))
    others = [name for name, is_there in zip(names[1:], flags, strict=True) if is_there]
    if not others:
        return [queue]
    if not is_listed:
        # Go's clients may leave a queue out of the index.
        counts: QueueCounts = await broker.run(count_queue(queue, day_of(0)))
        return [queue, *others] if counts.is_trace else others
    return [queue, *others]


def part_of(queue: str, partition: str) -> str:
    """The name of a queue's partition; raises InvalidOption if it is another's (pure)."""
    if partition not in (queue, *partition_names(queue)):
        raise InvalidOption(f"{partition!r} is no partition of queue {queue!r}")
    return partition


async def listed_parts(broker: AnyBroker, queues: Iterable[str]) -> list[str]:
    """The partitions of queues as far as the index knows: no queue's own node is asked, which may be away."""
    found: list[str] = []
    for queue in queues:
        others = partition_names(queue)[1:] if not split_queue(queue)[1] else ()
        (flags,) = await broker.run_many([are_listed(others)], _ONE_LOOK)
        there = [] if isinstance(flags, BrokerError) else flags
        found += [queue, *(name for name, is_there in zip(others, there, strict=False) if is_there)]
    return found


async def part_with(broker: AnyBroker, queue: str, task_id: str) -> str:
    """The partition that has a task; raises TaskNotFound, but BrokerError if it may be where nobody answers."""
    parts = await parts_of(broker, queue)
    if len(parts) == 1:
        return parts[0]
    pages = dict(zip(parts, await broker.run_many([read_row(part, task_id) for part in parts]), strict=True))
    for part, page in pages.items():
        if isinstance(page, Page) and page.rows[0].exists:
            return part
    first_error(pages.values())
    raise TaskNotFound(task_id, queue)


def combine(queues: Iterable[QueueInfo]) -> list[QueueInfo]:
    """Partitions as the queues that they belong to, in the order in which those come first (pure)."""
    found: dict[str, list[QueueInfo]] = {}
    for one in queues:
        found.setdefault(split_queue(one.name)[0], []).append(one)
    return [together(name, parts) for name, parts in found.items()]


def together(queue: str, parts: Sequence[QueueInfo]) -> QueueInfo:
    """A queue as the sum of its partitions; those that cannot be read are missing in it (pure)."""
    if [part.name for part in parts] == [queue]:
        return parts[0]
    parts = sorted(parts, key=lambda part: split_queue(part.name)[1])
    known = [part for part in parts if not part.problem]
    return QueueInfo(
        name=queue,
        **{state.value: sum(part.count(state) for part in known) for state in State},
        groups=sum(part.groups for part in known),
        orphans=sum(part.orphans for part in known),
        paused=bool(known) and all(part.paused for part in known),
        processed=sum(part.processed for part in known),
        failed=sum(part.failed for part in known),
        processed_total=sum(part.processed_total for part in known),
        failed_total=sum(part.failed_total for part in known),
        latency=max((part.latency for part in known), default=timedelta()),
        oldest_pending_since=min(
            (part.oldest_pending_since for part in known if part.oldest_pending_since), default=None
        ),
        problem="; ".join(f"partition {part.name}: {part.problem}" for part in parts if part.problem),
        parts=tuple(parts),
    )


def first_error(replies: Iterable[object]) -> None:
    """Raise the first error among replies, if there is one: the others were carried out."""
    for reply in replies:
        if isinstance(reply, BrokerError):
            raise reply

"""Reading queues: which there are, what they hold, what they did."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from ..broker.commands.inspect import (
    Groups,
    QueueCounts,
    count_queue,
    daily_counts,
    is_listed,
    list_groups,
    queue_names,
    server_time,
)
from ..broker.keys import day_of, queue_keys
from ..connection.steps import value_or_raise
from ..connection.topology import key_slot
from ..errors import BrokerError, BrokerMismatch, QueueNotFound
from ..message.ids import check_queue_name
from .both import AnyBroker
from .partitions import combine, parts_of, together
from .values import DayCounts, GroupInfo, QueueInfo, moment

_NO_PLACE = "its keys share no key slot: its name is not valid UTF-8, or begins with a brace"

_TOGETHER = 200
"""Queues that are counted by one pipeline per node."""


async def all_names(broker: AnyBroker) -> list[str]:
    """The names in the index of all queues, sorted."""
    return sorted(name.decode("utf-8", "surrogateescape") for name in await broker.run(queue_names()))


async def all_queues(broker: AnyBroker) -> list[QueueInfo]:
    """All queues of the index, those with partitions as one; what cannot be read says why."""
    names = await all_names(broker)
    day = day_of(await broker.run(server_time()))
    found: list[QueueInfo] = []
    for start in range(0, len(names), _TOGETHER):
        found += await _read_many(broker, names[start : start + _TOGETHER], day)
    return combine(found)


async def one_queue(broker: AnyBroker, queue: str) -> QueueInfo:
    """One queue; raises QueueNotFound."""
    check_placed(broker, queue)
    parts = await parts_of(broker, queue)
    if parts != [queue]:
        return together(queue, await _read_many(broker, parts, day_of(await broker.run(server_time()))))
    day = day_of(await broker.run(server_time(queue)))
    listed, counts, groups = await broker.run_many(
        [is_listed(queue), count_queue(queue, day), list_groups(queue)]
    )
    counted = _checked(queue, listed, counts)
    return _info(queue, counted, await _aggregating(broker, queue, value_or_raise(groups)))


async def require(broker: AnyBroker, queue: str) -> QueueCounts:
    """Make sure that a queue exists. Go's clients may leave it out of the index, so its keys count too."""
    check_placed(broker, queue)
    listed, counts = await broker.run_many([is_listed(queue), count_queue(queue, day_of(0))])
    return _checked(queue, listed, counts)


async def history(broker: AnyBroker, queue: str, days: int) -> list[DayCounts]:
    """What the queue, or one partition of it, did on the last days (UTC), newest first."""
    await require(broker, queue)
    today = datetime.fromtimestamp(await broker.run(server_time(queue)), UTC).date()
    dates = [today - timedelta(days=back) for back in range(days)]
    counts = await broker.run(daily_counts(queue, [date.isoformat(day) for day in dates]))
    return [DayCounts(day, processed, failed) for day, (processed, failed) in zip(dates, counts, strict=True)]


async def groups(broker: AnyBroker, queue: str) -> list[GroupInfo]:
    """The aggregation groups with waiting tasks, sorted by name."""
    sizes = {name: size async for page in group_pages(broker, queue) for name, size in page.sizes}
    return [GroupInfo(name, size) for name, size in sorted(sizes.items())]


async def group_pages(broker: AnyBroker, queue: str, first: Groups | None = None) -> AsyncIterator[Groups]:
    """The groups of a queue, page by page."""
    page = await broker.run(list_groups(queue)) if first is None else first
    yield page
    while page.cursor != "0":
        page = await broker.run(list_groups(queue, page.cursor))
        yield page


def _checked(queue: str, listed: Any, counts: Any) -> QueueCounts:
    counted: QueueCounts = value_or_raise(counts)
    if not counted.is_trace and not value_or_raise(listed):
        check_queue_name(queue)
        raise QueueNotFound(queue)
    return counted


async def _read_many(broker: AnyBroker, names: Sequence[str], day: str) -> list[QueueInfo]:
    sound = [name for name in names if is_placed(broker, name)]
    commands = [command for name in sound for command in (count_queue(name, day), list_groups(name))]
    replies = await broker.run_many(commands)
    found = {name: await _read(broker, name, *replies[2 * at : 2 * at + 2]) for at, name in enumerate(sound)}
    return [found.get(name) or QueueInfo(name, problem=_NO_PLACE) for name in names]


async def _read(broker: AnyBroker, name: str, counts: Any, first_groups: Any) -> QueueInfo:
    try:
        return _info(
            name, value_or_raise(counts), await _aggregating(broker, name, value_or_raise(first_groups))
        )
    except BrokerMismatch:  # not about this queue: the URL is wrong for all of them
        raise
    except BrokerError as error:
        return QueueInfo(name, problem=str(error))


async def _aggregating(broker: AnyBroker, queue: str, first: Groups) -> int:
    return sum([size async for page in group_pages(broker, queue, first) for _, size in page.sizes])


def _info(name: str, counts: QueueCounts, in_groups: int) -> QueueInfo:
    numbers = counts.numbers
    since = counts.oldest_since
    waited = max(counts.server_time - since, 0.0) if since is not None else 0.0
    return QueueInfo(
        name=name,
        pending=numbers["pending"],
        active=numbers["active"],
        scheduled=numbers["scheduled"],
        retry=numbers["retry"],
        archived=numbers["archived"],
        completed=numbers["completed"],
        aggregating=numbers["in_sets"] + in_groups,
        groups=numbers["groups"],
        orphans=numbers["orphans"],
        paused=bool(numbers["paused"]),
        processed=numbers["processed"],
        failed=numbers["failed"],
        processed_total=numbers["processed_total"],
        failed_total=numbers["failed_total"],
        latency=timedelta(seconds=waited),
        oldest_pending_since=moment(since),
    )


def is_placed(broker: AnyBroker, name: str) -> bool:
    """Whether there can be such a queue: not if its name is no text or, in a cluster, begins with a brace.

    Clients of Go's put such a name into the index, and its tools then show no queue at all.
    """
    try:
        return key_slot(queue_keys(name).active) == queue_keys(name).slot or not broker.topology.cluster
    except UnicodeEncodeError:
        return False


def check_placed(broker: AnyBroker, name: str) -> None:
    """Raise InvalidQueueName for a name under which nothing can be stored."""
    if not is_placed(broker, name):
        check_queue_name(name)

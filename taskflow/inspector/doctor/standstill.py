"""What stands still although nothing is broken: partitions that are paused alone, groups that nobody joins, followers that do not
arrive.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...broker.command import Plain, same
from ...broker.commands.inspect import list_groups, server_time, text
from ...broker.commands.partitions import Paused, pause_of
from ...broker.keys import queue_keys
from ...errors import BrokerError
from ...partitions import split_queue
from ..both import AnyBroker
from .values import Finding, Severity

FORGOTTEN_SECONDS = 900
"""A group to which nothing was added for so long should have been joined, by any rule that one would write."""

UNDELIVERED_SECONDS = 120
"""Workers look at a follower that was not delivered every five seconds, and once a minute where its queue cannot be reached."""

_EXAMPLES = 5

_MOST_FOLLOWERS = 1000
"""Of an outbox so many are read, to say where they should go."""


async def standing_still(broker: AnyBroker, queues: Iterable[str]) -> list[Finding]:
    """The findings about queues whose tasks wait for something that does not come. What cannot be read has findings of its own.

    Args:
        broker: where.
        queues: all that there are, partitions by their own names.
    """
    found: list[Finding] = []
    parts: dict[str, list[str]] = {}
    for name in queues:
        parts.setdefault(split_queue(name)[0], []).append(name)
        found += await _forgotten_groups(broker, name)
        found += await _undelivered(broker, name)
    for queue, names in parts.items():
        if len(names) > 1:
            found += await _partly_paused(broker, queue, names)
    return found


async def _partly_paused(broker: AnyBroker, queue: str, names: list[str]) -> list[Finding]:
    pauses = await broker.run_many([pause_of(name) for name in names])
    paused = [
        name for name, pause in zip(names, pauses, strict=True) if pause in (Paused.ALONE, Paused.WHOLE)
    ]
    if not paused or Paused.NONE not in pauses:
        return []
    return [
        Finding(
            Severity.WARNING,
            "partly-paused",
            f"{len(paused)} of its {len(names)} partitions are paused, and tasks still go to all of them",
            f"queue {queue!r}",
            f"`taskflow queue resume {queue}`, or `pause`, for all; tools of Go's pause and resume one partition",
            len(paused),
            tuple(paused[:_EXAMPLES]),
        )
    ]


async def _undelivered(broker: AnyBroker, queue: str) -> list[Finding]:
    """Followers of tasks that nobody has looked at for a while. A queue at work has some in its outbox at any moment; those for a
    queue that cannot be reached are looked at again and again.
    """
    keys = queue_keys(queue)
    try:
        now = await broker.run(server_time(queue))
        count = await broker.run(
            Plain(("ZCOUNT", keys.outbox_at, "-inf", now - UNDELIVERED_SECONDS), int, keys.slot)
        )
        if not count:
            return []
        names = await broker.run(
            Plain(("ZRANGE", keys.outbox_at, 0, min(count, _MOST_FOLLOWERS) - 1), list, keys.slot)
        )
    except BrokerError:
        return []
    queues = sorted({text(name).partition("\0")[0] for name in names})
    return [
        Finding(
            Severity.WARNING,
            "undelivered-followers",
            f"tasks that follow others wait in its outbox, and no worker has tried to deliver them for {UNDELIVERED_SECONDS} s",
            f"queue {queue!r}",
            "start a worker for this queue, which delivers them to theirs",
            count,
            tuple(queues[:_EXAMPLES]),
        )
    ]


async def _forgotten_groups(broker: AnyBroker, queue: str) -> list[Finding]:
    keys = queue_keys(queue)
    try:
        # Some of many are enough: whoever joins, joins all.
        sizes = (await broker.run(list_groups(queue))).sizes
        if not sizes:
            return []
        now = await broker.run(server_time(queue))
        newest = await broker.run_many(
            [
                Plain(("ZRANGE", keys.group(group), -1, -1, "WITHSCORES"), same, keys.slot)
                for group, _ in sizes
            ]
        )
    except BrokerError:
        return []
    forgotten = [
        group
        for (group, _), last in zip(sizes, newest, strict=True)
        if isinstance(last, list) and len(last) > 1 and float(last[1]) < now - FORGOTTEN_SECONDS
    ]
    if not forgotten:
        return []
    return [
        Finding(
            Severity.WARNING,
            "forgotten-group",
            "tasks wait in aggregation groups that nobody joins",
            f"queue {queue!r}",
            "serve the queue by an app with `app.aggregate(..., queue=...)`, or a Go server with a GroupAggregator; "
            f"`taskflow task runall -q {queue} -s aggregating` runs them one by one",
            len(forgotten),
            tuple(forgotten[:_EXAMPLES]),
        )
    ]

"""What the loops of a worker do for a queue, done once, here and now: by `drain()` and by a clock that was advanced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..broker.command import Plain
from ..broker.commands.enqueue import publish_queues
from ..broker.commands.maintenance import BATCH, expire, forward, recover
from ..broker.commands.outbox import NOT_AFTER_SECONDS, Entry, confirm, deliver, overdue, shorten_marker
from ..broker.keys import ALL_QUEUES
from ..broker.sync import Broker
from ..clock import ServerClock
from ..connection.coroutines import complete
from ..connection.topology import key_slot
from ..errors import BrokerError
from ..inspector.both import ThreadBroker
from ..pipe.frames import DEFAULT_MOST_MESSAGE, Build, Built
from ..runner.loading import hello
from ..tasks.app import TaskFlow
from ..tasks.joining import build
from ..tasks.run import Pipeline
from ..worker.loops.aggregator import Aggregator
from ..worker.loops.closed_aggregator import ClosedAggregator

OVERDUE_SECONDS = 5.0
"""A follower that lies in an outbox for so long is delivered by whoever looks, as in a worker."""


def queue_names(broker: Broker) -> list[str]:
    """All queues that somebody has made known, and their partitions, sorted."""
    found: list[Any] = broker.run(Plain(("SMEMBERS", ALL_QUEUES), list, key_slot(ALL_QUEUES)))
    return sorted(name.decode("utf-8", "surrogateescape") for name in found)


def keep_up(broker: Broker, queue: str) -> float:
    """Move what is due, give back whose lease has ended, delete what is over, deliver what was left behind.

    Returns:
        The server's time, in Unix seconds.
    """
    while broker.run(recover(queue)):
        pass
    while broker.run(expire(queue)) >= BATCH:
        pass
    while (left := broker.run(overdue(queue, OVERDUE_SECONDS))).looked_at:
        bring(broker, queue, left.entries, left.server_time)
    while (forwarded := broker.run(forward(queue))).moved >= BATCH:
        pass
    return forwarded.server_time


def bring(broker: Broker, home: str, entries: Sequence[Entry], server_time: float) -> None:
    """Deliver followers of ended tasks to their queues, and take them out of the outbox of the queue `home`."""
    for queue in dict.fromkeys(entry.follower.queue for entry in entries):
        part = [entry for entry in entries if entry.follower.queue == queue]
        broker.run(deliver(queue, [entry.follower for entry in part], server_time + NOT_AFTER_SECONDS))
        broker.run(publish_queues([queue]))
        broker.run(confirm(home, [entry.name for entry in part]))
        for reply in broker.run_many([shorten_marker(queue, entry.follower.id) for entry in part]):
            if isinstance(reply, BrokerError):
                raise reply


def join_ripe(broker: Broker, app: TaskFlow, pipeline: Pipeline, queues: Sequence[str]) -> None:
    """Join the tasks of aggregation groups whose time has come, as `app.aggregate` declares."""
    rules = hello(app).aggregations if app._aggregations else []
    asked: Any = ThreadBroker(broker)
    for rule in rules:
        if rule.queue not in queues:
            continue
        if not rule.closed:
            complete(Aggregator(rule.queue, rule, asked).tick())
            continue

        async def built(work: Build) -> Built | None:
            assert app._crypto is not None, "what is closed has keys"
            return build(pipeline, app._crypto, work, DEFAULT_MOST_MESSAGE)

        aggregator = ClosedAggregator(rule.queue, rule, asked, built, ServerClock(), DEFAULT_MOST_MESSAGE)
        complete(aggregator.tick())

"""Which partitions a worker serves, look by look, on the real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from taskflow.broker.aio import AsyncBroker
from taskflow.broker.commands.enqueue import NewTask, enqueue, publish_queues
from taskflow.broker.commands.queues import pause, unlist
from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.connection.aio import AsyncDriver
from taskflow.message.task_message import TaskMessage
from taskflow.partitions import partition_name, partition_names
from taskflow.worker.taking.partitions import LINGER, Partitions
from tests.servers import Server


class Looks:
    """A worker that only looks; and what it serves."""

    def __init__(self, url: str, queue: str, declared: int) -> None:
        self.runner = asyncio.Runner()
        self.served: set[str] = set()
        self.broker = AsyncBroker(AsyncDriver(url))

        async def end(name: str) -> None:
            self.served.remove(name)

        self.service = Partitions(
            [queue], {queue: declared}, self.broker, lambda name, _: self.served.add(name), end
        )

    def look(self, times: int = 1) -> set[str]:
        for _ in range(times):
            self.runner.run(self.service.tick())
        return self.served

    def close(self) -> None:
        self.runner.run(self.broker.close())
        self.runner.close()


@pytest.fixture
def looks(valkey: Server, queue: str) -> Iterator[Callable[[int], Looks]]:
    made: list[Looks] = []

    def make(declared: int) -> Looks:
        made.append(Looks(valkey.url, queue, declared))
        return made[-1]

    yield make
    for one in made:
        one.close()


def put(broker: Broker, name: str) -> None:
    broker.run(enqueue(name, [NewTask(TaskMessage("t", None, "a", name, timeout=60))]))


def test_what_is_only_entered_in_the_index_is_not_served(
    looks: Callable[[int], Looks], broker: Broker, raw: redis.Redis, queue: str
) -> None:
    """Whoever may enqueue may enter 63 names of partitions, and each worker opened connections for all of them: 98, not 10."""
    names = partition_names(queue)
    broker.run(publish_queues(names))
    worker = looks(2)
    assert worker.look() == set(names[:2])
    put(broker, names[9])
    assert worker.look() == {*names[:2], names[9]}
    raw.delete(queue_keys(names[9]).pending, queue_keys(names[9]).task("a"))
    assert worker.look(LINGER - 1) == {*names[:2], names[9]}, "who filled it may fill it again"
    assert worker.look() == set(names[:2])
    put(broker, names[9])
    assert worker.look() == {*names[:2], names[9]}
    raw.delete(queue_keys(names[9]).pending, queue_keys(names[9]).task("a"))


def test_what_has_followers_to_be_delivered_is_served_until_they_are(
    looks: Callable[[int], Looks], raw: redis.Redis, broker: Broker, queue: str
) -> None:
    """The last task of a partition that is declared no more had followers for a queue that was away: nobody else would deliver
    them.
    """
    name = partition_name(queue, 3)
    broker.run(publish_queues([name]))
    raw.hset(queue_keys(name).outbox, "other\0token\0000\0a", b"")
    raw.zadd(queue_keys(name).outbox_at, {"other\0token\0000\0a": 1})
    worker = looks(1)
    assert worker.look() == {queue, name}
    raw.delete(queue_keys(name).outbox, queue_keys(name).outbox_at)
    assert worker.look(LINGER) == {queue}


def test_what_was_removed_is_served_no_more_at_once(
    looks: Callable[[int], Looks], broker: Broker, raw: redis.Redis, queue: str
) -> None:
    name = partition_name(queue, 3)
    put(broker, name)
    broker.run(publish_queues([name]))
    worker = looks(1)
    assert worker.look() == {queue, name}
    raw.delete(queue_keys(name).pending, queue_keys(name).task("a"))
    broker.run(unlist(name))
    assert worker.look() == {queue}


def test_a_later_partition_heeds_a_pause_of_the_queue_and_not_one_of_its_first_partition(
    looks: Callable[[int], Looks], broker: Broker, raw: redis.Redis, queue: str, caplog: Any
) -> None:
    """What Go's tools pause is one partition, whatever they think."""
    first, second, third = partition_names(queue, 3)
    raw.set(queue_keys(first).paused, 1_700_000_000)
    worker = looks(2)
    assert worker.look(2) == {first, second}
    assert not raw.exists(queue_keys(second).paused)
    said = [record.getMessage() for record in caplog.records if "partly paused" in record.getMessage()]
    assert len(said) == 1, "once"
    assert not broker.run(pause(first, whole=True)), "it was paused already; and is now with all others"
    put(broker, third)
    broker.run(publish_queues([third]))
    assert worker.look() == {first, second, third}
    assert raw.exists(queue_keys(third).paused)
    raw.delete(*(queue_keys(name).paused for name in (first, third)))
    raw.delete(queue_keys(third).pending, queue_keys(third).task("a"))

"""A queue that was removed, or whose server was emptied, is listed again while somebody enqueues into it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from taskflow import TaskFlow
from taskflow.broker.commands.queues import unlist
from taskflow.broker.sync import Broker
from taskflow.client.listed import AGAIN, Listed
from taskflow.connection.coroutines import complete
from taskflow.connection.sync import SyncDriver
from taskflow.inspector import Inspector
from taskflow.inspector.both import ThreadBroker
from taskflow.inspector.queues import all_names
from taskflow.partitions import partition_names


def a_minute_later(app: TaskFlow) -> None:
    """For the client of this app, a minute has passed since it entered its queues in the index."""
    client = app.client
    client._listed.again_at -= AGAIN
    if client._router is not None:
        client._router._listed = dict.fromkeys(client._router._listed, 0.0)


@pytest.fixture
def broker(url: str) -> Any:
    broker = Broker(SyncDriver(url))
    yield broker
    broker.close()


def test_a_removed_queue_into_which_a_client_goes_on_enqueueing_is_listed_again(
    noop: Any, url: str, queue: str, broker: Broker
) -> None:
    """After `queue rm` no list showed it any more until a worker ran: a client entered its name once, at its first call."""
    inspector = Inspector(broker)
    noop.delay()
    assert queue in inspector.queue_names()
    inspector.remove(queue, force=True)
    noop.delay()
    assert queue not in inspector.queue_names(), "not with every call: that would cost a round trip"
    a_minute_later(noop._backend)
    noop.delay()
    assert queue in inspector.queue_names()

    async def from_a_coroutine() -> None:
        await noop.adelay()
        broker.run(unlist(queue))
        a_minute_later(noop._backend)
        await noop.adelay()
        await noop._backend.aclose()

    asyncio.run(from_a_coroutine())
    assert queue in inspector.queue_names()
    broker.run(unlist(queue))
    a_minute_later(noop._backend)
    noop.map([()] * 300).raise_for_errors()
    assert queue in inspector.queue_names()


def test_so_are_the_partitions_of_a_queue(url: str, queue: str, broker: Broker) -> None:
    app = TaskFlow(broker=url, queues={queue: {"partitions": 3}})

    @app.task(queue=queue)
    def noop() -> None: ...

    names = set(partition_names(queue, 3))
    for _ in names:
        noop.delay()
    for name in names:
        broker.run(unlist(name))
    noop.delay()
    assert names.isdisjoint(complete(all_names(ThreadBroker(broker))))
    a_minute_later(app)
    noop.delay()
    assert names <= set(complete(all_names(ThreadBroker(broker))))
    app.close()
    Inspector(broker).remove(queue, force=True)


def test_a_queue_that_nobody_uses_any_more_is_not_listed_again() -> None:
    """It may have been removed for good, by somebody who has seen it empty."""
    now = 0.0
    listed = Listed(lambda: now)
    listed.add(["used", "unused"])

    class Task:
        class terms:
            queue = "used"

    tasks: list[Any] = [Task, Task]
    assert listed.again(tasks) == []
    now = AGAIN + 1
    assert [listed.again(tasks), listed.again(tasks)] == [["used"], []]
    now = 2 * AGAIN + 2
    assert listed.again(tasks) == ["used"]

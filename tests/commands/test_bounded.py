"""However long a queue is, one call of a script handles so many items and no more: the server has other clients, too."""

from __future__ import annotations

import pytest
import redis

from taskflow.broker.commands.dequeue import BATCH as DEQUEUE_BATCH
from taskflow.broker.commands.dequeue import dequeue
from taskflow.broker.commands.enqueue import BATCH as ENQUEUE_BATCH
from taskflow.broker.commands.enqueue import Terms, enqueue
from taskflow.broker.commands.maintenance import BATCH, expire, forward, recover
from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.connection.sync import SyncDriver
from taskflow.message.task_message import TaskMessage
from tests.servers import Server
from tests.taking import take

TASKS = 1000


@pytest.fixture
def full(valkey: Server, queue: str) -> Broker:
    """A queue in which a thousand tasks are due."""
    broker = Broker(SyncDriver(valkey.url))
    terms = Terms(TaskMessage(type="t", payload=b"", id="-", queue=queue, timeout=60), delay=3600)
    for start in range(0, TASKS, ENQUEUE_BATCH):
        tasks = [terms.call(f"task-{number}", b"") for number in range(start, start + ENQUEUE_BATCH)]
        broker.run(enqueue(queue, tasks), 10)
    with redis.Redis(host="127.0.0.1", port=valkey.port) as client:
        client.zadd(queue_keys(queue).scheduled, {f"task-{number}": 1 for number in range(TASKS)})
    return broker


def test_a_call_forwards_a_hundred_and_takes_two_hundred_of_a_thousand(full: Broker, queue: str) -> None:
    moved = [full.run(forward(queue), 10).moved for _ in range(TASKS // BATCH + 1)]
    assert moved == [BATCH] * (TASKS // BATCH) + [0]

    assert len(take(full, queue, "worker", TASKS)) == DEQUEUE_BATCH < TASKS
    full.close()


def test_a_call_gives_back_a_hundred_whose_leases_are_over(full: Broker, queue: str, valkey: Server) -> None:
    for _ in range(TASKS // BATCH):
        full.run(forward(queue), 10)
    for _ in range(-(-TASKS // DEQUEUE_BATCH)):
        take(full, queue, "worker", DEQUEUE_BATCH)
    keys = queue_keys(queue)
    with redis.Redis(host="127.0.0.1", port=valkey.port) as client:
        client.zadd(keys.lease, {f"task-{number}": 1 for number in range(TASKS)})

    recovered = [len(full.run(recover(queue), 10)) for _ in range(TASKS // BATCH + 1)]

    assert recovered == [BATCH] * (TASKS // BATCH) + [0]
    full.close()


def test_a_call_deletes_a_hundred_that_are_past_their_retention(
    full: Broker, queue: str, valkey: Server
) -> None:
    keys = queue_keys(queue)
    with redis.Redis(host="127.0.0.1", port=valkey.port) as client:
        ids = [f"task-{number}" for number in range(TASKS)]
        for id_ in ids:
            client.hset(keys.task_prefix + id_, "state", "completed")
        client.delete(keys.scheduled)
        client.zadd(keys.completed, dict.fromkeys(ids, 1))

    deleted = [full.run(expire(queue), 10) for _ in range(TASKS // BATCH + 1)]

    assert deleted == [BATCH] * (TASKS // BATCH) + [0]
    full.close()


def test_a_call_takes_no_more_large_messages_than_the_server_can_copy_at_once(
    broker: Broker, queue: str
) -> None:
    """Three messages of 190 MB, which a script of a producer's can make, were copied and hashed in one call: the server answered
    nobody for as long, the worker gave up waiting and asked again, and what was behind them never ran.
    """
    large, small = b"x" * (9 << 20), b"{}"
    for name, payload in (("a", large), ("b", large), ("c", large), ("d", small), ("e", small)):
        message = TaskMessage(type="t", payload=payload, id=name, queue=queue, timeout=60)
        broker.run(enqueue(queue, [Terms(message).call(name, payload)]), 30)

    first = broker.run(dequeue(queue, "worker", "one", 10), 30).tasks
    assert [task.id for task in first] == ["a", "b"]
    again = dequeue(queue, "worker", "one", 10).again()
    assert [task.id for task in broker.run(again, 30).tasks] == ["a", "b"]
    rest = broker.run(dequeue(queue, "worker", "two", 10), 30).tasks
    assert [task.id for task in rest] == ["c", "d", "e"]

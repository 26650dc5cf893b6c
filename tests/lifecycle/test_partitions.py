"""A queue over several partitions: the real worker serves them as one queue, whatever it was told of their number."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from taskflow.broker.commands.enqueue import NewTask, enqueue, publish_queues
from taskflow.broker.commands.queues import unlist
from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.connection.sync import SyncDriver
from taskflow.inspector import Inspector
from taskflow.message.task_message import TaskMessage
from taskflow.partitions import partition_name, partition_names
from taskflow.worker import partitions as looks
from tests.lifecycle.conftest import Ledger
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess

StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def put(valkey: Server) -> Iterator[Callable[[str, str], None]]:
    """Puts one task into a partition, by its own name, as Go would; the index is told only if asked to."""
    broker = Broker(SyncDriver(valkey.url))

    def put(name: str, tag: str, *, listed: bool = True) -> None:
        payload = json.dumps({"tag": tag}).encode()
        message = TaskMessage("tests.lifecycle.app.work", payload, f"id-{tag}", name, timeout=60)
        broker.run(enqueue(name, [NewTask(message)]))
        if listed:
            broker.run(publish_queues([name]))

    yield put
    broker.close()


def declared(queue: str, partitions: int) -> dict[str, str]:
    """The environment of an app with so many partitions."""
    return {"TASKFLOW_TEST_QUEUES": json.dumps({queue: {"partitions": partitions}})}


def test_a_worker_serves_every_partition_it_is_told_of(
    worker: StartWorker, queue: str, ledger: Ledger, put: Any, raw: redis.Redis
) -> None:
    with worker(environment=declared(queue, 6)) as process:
        for name in partition_names(queue, 6):
            put(name, name, listed=False)
        ledger.wait_for("end", *partition_names(queue, 6), timeout=5)
        wait_until(
            lambda: (
                {name.decode() for name in raw.smembers("asynq:queues")} >= set(partition_names(queue, 6))
            ),
            description="the index has them",
        )
        assert f"{queue}=1 over 6 partitions" in "\n".join(process.log)


def test_a_worker_drains_partitions_that_its_app_does_not_declare_any_more(
    worker: StartWorker, queue: str, ledger: Ledger, put: Any
) -> None:
    for name in partition_names(queue, 6):
        put(name, name)
    with worker(environment=declared(queue, 2)):
        ledger.wait_for("end", *partition_names(queue, 6), timeout=5)


def test_a_running_worker_finds_partitions_that_come_later(
    worker: StartWorker, queue: str, ledger: Ledger, put: Any
) -> None:
    with worker() as process:
        put(queue, "first")
        ledger.wait_for("end", "first")  # it has looked once
        name = partition_name(queue, 5)
        put(name, "grown")
        ledger.wait_for("end", "grown", timeout=looks.PERIOD + 5)
        process.wait_for_log(f"Serving partition {name} of queue {queue} too")


def test_a_burst_ends_when_all_partitions_are_empty(
    worker: StartWorker, queue: str, ledger: Ledger, put: Any
) -> None:
    for number, name in enumerate(partition_names(queue, 6) * 3):
        put(name, f"{name}-{number}")
    with worker(environment=declared(queue, 2), burst=True) as process:
        assert process.wait() == 0
    assert sum(line[0] == "end" for line in ledger.lines()) == 18


def test_a_removed_partition_is_served_no_more(
    worker: StartWorker, queue: str, ledger: Ledger, put: Any, broker: Broker
) -> None:
    name = partition_name(queue, 3)
    put(name, "last")
    with worker() as process:
        ledger.wait_for("end", "last")
        wait_until(lambda: not Inspector(broker).queue(name).active, description="its verdict is written")
        broker.run(unlist(name))
        process.wait_for_log(f"Partition {name} of queue {queue} was removed", looks.PERIOD + 5)
        put(name, "again")
        ledger.wait_for("end", "again", timeout=looks.PERIOD + 5)


def test_a_partition_that_comes_after_a_pause_is_paused_too(
    worker: StartWorker, queue: str, ledger: Ledger, put: Any, broker: Broker, raw: redis.Redis
) -> None:
    put(queue, "first")
    Inspector(broker).pause(queue)
    with worker(environment=declared(queue, 3)):
        for name in partition_names(queue, 3)[1:]:
            paused = queue_keys(name).paused
            wait_until(lambda key=paused: raw.exists(key), description=f"{name} is paused")
            put(name, name)
    assert not [line for line in ledger.lines() if line[0] == "start"]

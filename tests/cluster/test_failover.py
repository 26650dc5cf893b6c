"""A node of a real six-node cluster dies, or hands over, while tasks come and go."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from taskflow import TaskFlow
from taskflow.inspector import Inspector
from tests.conftest import Cluster
from tests.servers import wait_until
from tests.workers import WorkerProcess

pytestmark = pytest.mark.timeout(180)

QUEUES = {"images": 1, "webhooks": 1, "notifications": 1}


@pytest.fixture
def app(cluster: Cluster) -> Iterator[TaskFlow]:
    """The tutorial's tasks, on the cluster."""
    cluster.heal()
    app = TaskFlow("tutorial", broker=cluster.url, retention=600, enqueue_timeout=30)
    for name, queue in (
        ("images:resize", "images"),
        ("webhooks:sync", "webhooks"),
        ("notifications:email", "notifications"),
    ):

        @app.task(name=name, queue=queue)
        def task(number: int) -> int:
            return number

    yield app
    app.close()
    cluster.heal()


@pytest.fixture
def worker(cluster: Cluster, tmp_path: Any) -> Iterator[WorkerProcess]:
    (tmp_path / "tutorial.py").write_text(
        "from taskflow import TaskFlow\n"
        "app = TaskFlow('tutorial')\n"
        "for name in ('images:resize', 'webhooks:sync', 'notifications:email'):\n"
        "    @app.task(name=name)\n"
        "    def task(number: int) -> int:\n"
        "        return number\n"
    )
    with WorkerProcess(
        "tutorial", directory=tmp_path, broker=cluster.url, queues=QUEUES, concurrency=20, log_level="info"
    ) as process:
        yield process


def test_queues_live_on_the_slots_of_the_tutorial(app: TaskFlow, worker: WorkerProcess) -> None:
    for task in app.tasks.values():
        assert task.delay(7).get(20) == 7
    placed = Inspector(app.client.broker).cluster_queues(QUEUES)
    assert {one.queue: one.key_slot for one in placed} == {
        "images": 9450,
        "webhooks": 4418,
        "notifications": 16340,
    }
    assert all([node.role for node in one.nodes] == ["master", "replica"] for one in placed)
    assert len({one.nodes[0].port for one in placed}) == 3


def test_kills_the_master_of_a_queue_while_tasks_come_and_go(
    app: TaskFlow, worker: WorkerProcess, cluster: Cluster
) -> None:
    """Nothing is lost, and the queues of the other masters do not even slow down."""
    victim = cluster.master_of("images")
    handles: dict[str, list[Any]] = {name: [] for name in app.tasks}
    longest: dict[str, float] = dict.fromkeys(app.tasks, 0.0)
    errors: list[Exception] = []

    def produce(name: str) -> None:
        for number in range(150):
            began = time.monotonic()
            try:
                handles[name].append(app.tasks[name].delay(number))
            except Exception as error:  # noqa: BLE001 - collected, and the test fails on it
                errors.append(error)
            longest[name] = max(longest[name], time.monotonic() - began)
            time.sleep(0.01)

    producers = [threading.Thread(target=produce, args=(name,)) for name in app.tasks]
    for producer in producers:
        producer.start()
    wait_until(lambda: len(handles["images:resize"]) > 30, description="tasks are on their way")
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    for producer in producers:
        producer.join()
    assert errors == []
    for name in app.tasks:
        assert [handle.get(60) for handle in handles[name]] == list(range(150))
    assert longest["images:resize"] > 1.0, "the master of images was away"
    assert longest["webhooks:sync"] < 1.0
    assert longest["notifications:email"] < 1.0


def test_a_planned_failover_is_not_noticed(app: TaskFlow, worker: WorkerProcess, cluster: Cluster) -> None:
    task = app.tasks["images:resize"]
    master = cluster.master_of("images")
    replica = next(node for node in cluster.nodes if node.master_id == master.node_id)
    handles = [task.delay(number) for number in range(50)]
    redis.Redis(host="127.0.0.1", port=replica.port).cluster("FAILOVER")
    handles += [task.delay(number) for number in range(50, 100)]
    wait_until(lambda: cluster.master_of("images").port == replica.port, description="the replica is master")
    handles += [task.delay(number) for number in range(100, 150)]
    assert [handle.get(30) for handle in handles] == list(range(150))
    # The worker waits on the new master, not on the old one.
    assert task.delay(1).get(25) == 1

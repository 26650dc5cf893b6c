"""A task and what follows it are on two nodes of a real six-node cluster, and one of them dies in between."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from taskflow import TaskFlow
from taskflow.broker.keys import queue_keys
from taskflow.worker.timings import Timings
from tests.conftest import Cluster
from tests.servers import wait_until
from tests.workers import WorkerProcess

pytestmark = pytest.mark.timeout(180)

LEADS, FOLLOWS = "images", "webhooks"
"""Queues on two masters."""

SOON = Timings(overdue=0.5, outbox=0.3)

TASKS = f"""
import json
from taskflow import TaskFlow, current_task
from taskflow.message.task_message import TaskMessage

app = TaskFlow("followers")

@app.task(name="lead", retention=600)
def lead(number: int, count: int) -> int:
    for one in range(count):
        payload = json.dumps({{"number": number}}).encode()
        id = f"{{current_task().id}}.{{one}}"
        message = TaskMessage(
            type="follow", payload=payload, id=id, queue="{FOLLOWS}", timeout=60, retention=600, max_retries=0
        )
        current_task()._then(message)
    return number

@app.task(name="follow")
def follow(number: int) -> int:
    return number
"""


@pytest.fixture
def app(cluster: Cluster) -> Iterator[TaskFlow]:
    cluster.heal()
    app = TaskFlow("followers", broker=cluster.url, retention=600, enqueue_timeout=30)

    @app.task(name="lead", queue=LEADS)
    def lead(number: int, count: int) -> int:
        return number

    yield app
    app.close()
    cluster.heal()


@pytest.fixture
def worker(cluster: Cluster, tmp_path: Any) -> Iterator[WorkerProcess]:
    (tmp_path / "followers_app.py").write_text(TASKS)
    queues = {LEADS: 1, FOLLOWS: 1}
    with WorkerProcess(
        "followers_app", directory=tmp_path, broker=cluster.url, queues=queues, concurrency=20, timings=SOON
    ) as process:
        yield process


def stored(cluster: Cluster, queue: str, of: str) -> int:
    """How many stand in a place of a queue, or lie in its outbox."""
    keys = queue_keys(queue)
    node = cluster.master_of(queue)
    with redis.Redis(port=node.port) as client:
        return int(client.hlen(keys.outbox) if of == "outbox" else client.zcard(keys.state(of)))


def test_a_follower_on_another_node_runs(app: TaskFlow, worker: WorkerProcess, cluster: Cluster) -> None:
    assert cluster.master_of(LEADS).port != cluster.master_of(FOLLOWS).port
    before = stored(cluster, FOLLOWS, "completed")
    assert app.tasks["lead"].delay(1, 3).get(20) == 1
    wait_until(lambda: stored(cluster, FOLLOWS, "completed") == before + 3, description="all have run")
    wait_until(lambda: stored(cluster, LEADS, "outbox") == 0, description="the deliveries are confirmed")


def test_followers_wait_in_the_outbox_while_their_node_is_dead(
    app: TaskFlow, worker: WorkerProcess, cluster: Cluster
) -> None:
    """Their tasks end meanwhile, on a node that lives. Whoever takes over from the dead node gets each of them once."""
    before = stored(cluster, FOLLOWS, "completed")
    victim = cluster.master_of(FOLLOWS)
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    handles = [app.tasks["lead"].delay(number, 2) for number in range(20)]
    assert [handle.get(30) for handle in handles] == list(range(20))
    wait_until(
        lambda: _takes_over(cluster, victim.port) and stored(cluster, LEADS, "outbox") == 0,
        description="the outbox is empty",
        timeout=90,
    )
    wait_until(
        lambda: stored(cluster, FOLLOWS, "completed") == before + 40,
        description="each has run once",
        timeout=30,
    )


def test_followers_survive_the_end_of_the_node_that_their_task_was_on(
    app: TaskFlow, worker: WorkerProcess, cluster: Cluster
) -> None:
    """Tasks end, are delivered and confirmed all the time; none of their followers is lost, and none runs twice."""
    before = stored(cluster, FOLLOWS, "completed")
    handles = [app.tasks["lead"].delay(number, 1) for number in range(100)]
    assert handles[20].get(20) == 20  # the replica has had the time to hear of all of them
    victim = cluster.master_of(LEADS)
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    assert [handle.get(60) for handle in handles] == list(range(100))
    wait_until(lambda: stored(cluster, LEADS, "outbox") == 0, description="the outbox is empty", timeout=60)
    wait_until(lambda: stored(cluster, FOLLOWS, "completed") - before >= 100, description="all have run")
    # Their ids are derived from the task's: one that is run again has the same followers.
    assert stored(cluster, FOLLOWS, "completed") - before == 100


def _takes_over(cluster: Cluster, port: int) -> bool:
    try:
        return cluster.master_of(FOLLOWS).port != port
    except AssertionError:
        return False

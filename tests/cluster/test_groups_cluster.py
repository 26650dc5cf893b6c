"""Groups of an app with keys on a real cluster: each queue's on the node that has it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import redis

from taskflow.broker.keys import queue_keys
from taskflow.worker.timings import Timings
from tests.conftest import Cluster
from tests.security import groups_app
from tests.servers import wait_until
from tests.workers import WorkerProcess

pytestmark = pytest.mark.timeout(120)


def test_members_are_joined_and_a_stranger_is_archived_on_a_cluster(cluster: Cluster, queue: str) -> None:
    """Reading, refusing and joining are three scripts, each of them with all its keys on one slot."""
    sealed, plain, keys = groups_app.sealed, groups_app.plain, queue_keys(queue)
    try:
        for app, number in ((sealed, 1), (plain, 2), (sealed, 3)):
            app.use_broker(cluster.url)
            app.tasks["single"].options(queue=queue, group="g").delay(number=number)
        with (
            redis.RedisCluster("127.0.0.1", cluster.nodes[0].port) as raw,
            WorkerProcess(
                "tests.security.groups_app:sealed",
                broker=cluster.url,
                queues={queue: 1},
                concurrency=1,
                environment={"TASKFLOW_TEST_GROUPS": queue},
            ),
        ):
            wait_until(lambda: raw.zcard(keys.completed) == 1, description="the joined task has run")
            (joined,) = raw.zrange(keys.completed, 0, -1)
            assert raw.zcard(keys.archived) == 1
        assert sealed.result(joined.decode(), queue=queue).get(25)["numbers"] == [1, 3]
    finally:
        for app in (sealed, plain):
            app.close()
            app._broker = app._client = None


def test_a_master_that_dies_while_a_child_builds_costs_no_member(
    cluster: Cluster, queue: str, tmp_path: Path
) -> None:
    """What was built finds nobody to write it. The replica that takes over has the members, and they are joined once."""
    sealed, keys, hurt = groups_app.sealed, queue_keys(queue), tmp_path / "hurt"
    cluster.heal()
    sealed.use_broker(cluster.url)
    worker = WorkerProcess(
        "tests.security.groups_app:sealed",
        broker=cluster.url,
        queues={queue: 1},
        concurrency=1,
        environment={"TASKFLOW_TEST_GROUPS": queue, groups_app.FIRST_BUILD: f"waits:{hurt}"},
        timings=Timings(aggregate=0.1),
    )

    def completed() -> list[bytes]:
        try:
            node = cluster.master_of(queue)
        except AssertionError:  # nobody has taken over yet
            return []
        with redis.Redis(port=node.port) as raw:
            assert not raw.zcard(keys.archived)
            return list(raw.zrange(keys.completed, 0, -1))

    try:
        for number in (1, 2, 3):
            sealed.tasks["single"].options(queue=queue, group="g").delay(number=number)
        with worker:
            wait_until(hurt.exists, description="a build has begun")
            victim = cluster.master_of(queue)
            assert victim.pid is not None
            os.kill(victim.pid, signal.SIGKILL)
            hurt.unlink()
            wait_until(completed, description="the joined task has run", timeout=60)
            (joined,) = completed()
        assert sealed.result(joined.decode(), queue=queue).get(25)["numbers"] == [1, 2, 3]
    finally:
        sealed.close()
        sealed._broker = sealed._client = None
        cluster.heal()

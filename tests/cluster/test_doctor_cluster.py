"""The doctor on a real cluster of six nodes: queues on three masters, a replica that dies, a master that dies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from taskflow.broker.command import Plain, same
from taskflow.broker.commands.enqueue import NewTask, enqueue, publish_queues
from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.connection.sync import SyncDriver
from taskflow.inspector.doctor import Diagnosis, nodes
from taskflow.message.task_message import TaskMessage
from taskflow.testing.keyspace import check_queue
from tests.conftest import Cluster
from tests.embedded.support import kill
from tests.inspector.ask import examine
from tests.servers import wait_until

pytestmark = pytest.mark.timeout(180)

QUEUES = ("images", "webhooks", "notifications")


@pytest.fixture
def broker(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    monkeypatch.setattr(nodes, "_ONE_LOOK", 1.0)  # each look at a dead node takes so long
    cluster.heal()
    # Other tests share the cluster, and leave queues that a doctor has something to say about.
    for node in cluster.nodes:
        if node.role == "master":
            with redis.Redis(host="127.0.0.1", port=node.port) as client:
                client.flushall()
    broker = Broker(SyncDriver(cluster.url))
    wait_until(lambda: wrong(examine(broker)) == {}, description="the cluster is well", timeout=40)
    yield broker
    broker.close()
    cluster.heal()


def wrong(diagnosis: Diagnosis) -> dict[str, str]:
    """Where what is wrong, notes left out."""
    return {one.where: one.code for one in diagnosis.findings if one.severity != "note"}


def test_queues_on_every_node_are_examined_and_put_right(broker: Broker) -> None:
    for queue in QUEUES:
        keys = queue_keys(queue)
        tasks = [
            NewTask(TaskMessage(type="t", payload=b"{}", id=one, queue=queue, timeout=60), delay=500)
            for one in ("a", "b")
        ]
        broker.run(enqueue(queue, tasks))
        broker.run(publish_queues([queue]))
        broker.run(Plain(("DEL", keys.scheduled), same, keys.slot))
        broker.run(Plain(("SET", keys.unique_prefix + "x:1", "nobody", "EX", 500), same, keys.slot))
    try:
        found = examine(broker)
        assert len(found.nodes) == 6
        assert set(QUEUES) <= set(found.queues)
        by_code = {
            code: {one.where for one in found.findings if one.code == code}
            for code in ("task-without-id", "dangling-lock")
        }
        wheres = {f"queue {queue!r}" for queue in QUEUES}
        assert by_code == {"task-without-id": wheres, "dangling-lock": wheres}
        assert wrong(examine(broker, fix=True)) == {"workers": "unserved-queue"}  # nobody works here
        assert [check_queue(broker, queue) for queue in QUEUES] == [[], [], []]
        assert broker.run(Plain(("LLEN", queue_keys("images").pending), int, queue_keys("images").slot)) == 2
    finally:
        for queue in QUEUES:
            keys = queue_keys(queue)
            broker.run(Plain(("DEL", keys.pending, keys.task("a"), keys.task("b")), int, keys.slot))


def test_a_dead_replica_is_told(cluster: Cluster, broker: Broker) -> None:
    replica = next(node for node in cluster.nodes if node.role == "replica")
    assert replica.pid is not None
    kill(replica.pid)
    address = f"127.0.0.1:{replica.port}"
    assert wrong(examine(broker))[address] == "node-away"
    wait_until(
        lambda: "no-replica" in wrong(examine(broker)).values(),
        description="the cluster knows that a master is without its replica",
        timeout=40,
    )


def test_a_dead_master_keeps_nothing_else_from_being_examined(cluster: Cluster, broker: Broker) -> None:
    for queue in QUEUES:
        broker.run(publish_queues([queue]))
    master = cluster.master_of("images")
    assert master.pid is not None
    kill(master.pid)
    found = examine(broker)
    address = f"127.0.0.1:{master.port}"
    assert wrong(found)[address] in ("node-away", "unreadable")
    assert wrong(found).get("queue 'webhooks'") is None
    wait_until(
        lambda: {"node-away"} == {code for where, code in wrong(examine(broker)).items() if where == address},
        description="its replica has taken over, and only the dead node is missed",
        timeout=40,
    )
    assert wrong(examine(broker, ["images"])).get("queue 'images'") is None


def test_clocks_of_one_host_are_no_finding(broker: Broker) -> None:
    assert not [one for one in examine(broker).findings if one.code == "clock-skew"]

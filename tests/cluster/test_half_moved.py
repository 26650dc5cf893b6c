"""A slot moves by `MIGRATE`, key by key: while a part of a queue is away, no script may take for gone what it cannot see."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis

from taskflow.broker.commands.dequeue import dequeue
from taskflow.broker.commands.enqueue import NewTask, enqueue
from taskflow.broker.commands.finish import finish
from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.connection.sync import SyncDriver
from taskflow.message.outcome import Outcome
from taskflow.message.task_message import TaskMessage
from taskflow.states import Verb
from tests.conftest import Cluster

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def broker(cluster: Cluster) -> Iterator[Broker]:
    broker = Broker(SyncDriver(cluster.url))
    yield broker
    broker.close()


@pytest.mark.parametrize("resent", [False, True])
def test_a_verdict_is_refused_by_a_node_from_which_its_task_has_moved_away(
    cluster: Cluster, broker: Broker, queue: str, resent: bool
) -> None:
    """The hash of a task that is done is no key of the call, so the node does not look whether it has it. Without the key that
    never exists it would run the script, find no hash, and answer that the verdict was written before, or that somebody else
    has the task.
    """
    keys = queue_keys(queue)
    broker.run(enqueue(queue, [NewTask(TaskMessage(type="t", payload=b"", id="a", queue=queue, timeout=9))]))
    (taken,) = broker.run(dequeue(queue, "worker", "token", 1)).tasks
    command = finish(queue, [(taken, Outcome(0, Verb.DONE))], time.time())
    words = command.wire(full=True, resent=resent)
    source = cluster.master_of(queue)
    target = next(node for node in cluster.nodes if node.role == "master" and node.port != source.port)
    with redis.Redis(port=source.port) as here, redis.Redis(port=target.port) as there:
        # Every other key of the call is there, so none of them stops it.
        for key in command.keys:
            if key not in (keys.active, keys.lease, keys.never):
                here.set(key, 1)
        there.execute_command("CLUSTER SETSLOT", keys.slot, "IMPORTING", source.node_id)
        here.execute_command("CLUSTER SETSLOT", keys.slot, "MIGRATING", target.node_id)
        try:
            here.execute_command("MIGRATE", "127.0.0.1", target.port, keys.task("a"), 0, 5000)
            with pytest.raises(redis.ResponseError, match=r"TRYAGAIN|Multiple keys"):
                here.execute_command(*words)
            assert here.lrange(keys.active, 0, -1) == [b"a"]
        finally:
            here.execute_command("CLUSTER SETSLOT", keys.slot, "STABLE")
            there.execute_command("ASKING")
            there.execute_command("MIGRATE", "127.0.0.1", source.port, keys.task("a"), 0, 5000)
            there.execute_command("CLUSTER SETSLOT", keys.slot, "STABLE")
        for key in command.keys:
            if key not in (keys.active, keys.lease, keys.never):
                here.delete(key)
    assert [reply.name for reply in broker.run(command)] == ["WRITTEN"]

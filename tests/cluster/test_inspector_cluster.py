"""The inspector and its commands on a real cluster of six nodes, one of which is killed at the end."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import redis
from click.testing import CliRunner, Result

from taskflow import embedded
from taskflow.broker.commands.enqueue import NewTask, enqueue, publish_queues
from taskflow.broker.commands.queues import unlist
from taskflow.broker.commands.records import write_server
from taskflow.broker.sync import Broker
from taskflow.cli.main import main
from taskflow.connection.sync import SyncDriver
from taskflow.connection.topology import key_slot
from taskflow.embedded import EmbeddedConfig
from taskflow.errors import InvalidQueueName, QueueNotEmpty, QueueNotFound
from taskflow.inspector import ClusterQueue, Inspector
from taskflow.message.records import ServerInfo
from taskflow.message.task_message import TaskMessage
from taskflow.states import State
from tests.clusters import notice_soon
from tests.embedded.support import end_all, kill
from tests.inspector.ask import OnALoop
from tests.servers import wait_until

SLOTS = {"images": 9450, "webhooks": 4418, "notifications": 16340}
"""The tutorial's queues: each on another node."""


@dataclass(frozen=True)
class Cluster:
    """Six nodes, and what talks to them."""

    config: EmbeddedConfig
    url: str
    broker: Broker
    inspector: Inspector


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("inspected") / "data"
    config = EmbeddedConfig(directory, nodes=6)
    try:
        url = embedded.ensure(config)
        broker = Broker(SyncDriver(url))
        yield Cluster(config, url, broker, Inspector(broker))
        broker.close()
    finally:
        end_all(directory)


@pytest.fixture
def six(started: Cluster) -> Cluster:
    """All six nodes, also when the test before has killed one."""
    embedded.ensure(started.config)
    notice_soon(started.config, started.url)
    return started


@pytest.fixture
def cli(six: Cluster, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("TASKFLOW_BROKER", six.url)
    return lambda *words: CliRunner().invoke(main, words)


def put(six: Cluster, queue: str, *ids: str, delay: float | None = None, group: str = "") -> None:
    six.broker.run(publish_queues([queue]))
    tasks = [
        NewTask(
            TaskMessage(type="t", payload=b"{}", id=task_id, queue=queue, timeout=60, group_key=group),
            delay=delay,
        )
        for task_id in ids
    ]
    six.broker.run(enqueue(queue, tasks))


def test_queues_on_three_nodes_are_read_together(six: Cluster) -> None:
    names = ["three-1", "three-2", "three-3"]
    for number, queue in enumerate(names, start=1):
        put(six, queue, *(f"t{index}" for index in range(number)))
        put(six, queue, "later", delay=3600)
        put(six, queue, "grouped", group="g")
    assert len({one.nodes[0].id for one in six.inspector.cluster_queues(names)}) > 1
    found = {one.name: one for one in six.inspector.queues()}
    assert [(found[name].pending, found[name].scheduled, found[name].aggregating) for name in names] == [
        (1, 1, 1),
        (2, 1, 1),
        (3, 1, 1),
    ]


def test_a_coroutine_sees_the_same_nodes_and_queues(six: Cluster) -> None:
    """Nodes are asked by their addresses, which each driver finds out for itself."""
    put(six, "looked-at", "t1")
    on_a_loop = OnALoop(six.url)
    try:
        assert on_a_loop.cluster_queues() == six.inspector.cluster_queues()
        assert {one.address for one in on_a_loop.stats().nodes} == {
            one.address for one in six.inspector.stats().nodes
        }
        assert len(on_a_loop.examine(["looked-at"]).nodes) == 6
    finally:
        on_a_loop.close()


def test_every_order_stays_in_the_slot_of_its_queue(six: Cluster) -> None:
    """A script that touches another slot is refused by the server."""
    queue, inspector = "orders", six.inspector
    put(six, queue, "t1", "t2", "t3")
    inspector.archive(queue, "t1")
    inspector.run(queue, "t1")
    inspector.delete(queue, "t1")
    assert inspector.archive_all(queue, State.PENDING) == 2
    assert inspector.run_all(queue, State.ARCHIVED) == 2
    put(six, queue, "g1", "g2", group="g")
    assert [task.id for task in inspector.tasks(queue, State.AGGREGATING).tasks] == ["g1", "g2"]
    assert inspector.run_all(queue, State.AGGREGATING) == 2
    assert inspector.pause(queue)
    assert inspector.resume(queue)
    assert len(inspector.history(queue, 5)) == 5
    assert inspector.task(queue, "g1").state is State.PENDING
    with pytest.raises(QueueNotEmpty):
        inspector.remove(queue)
    assert inspector.delete_all(queue, State.PENDING) == 4
    inspector.remove(queue)
    with pytest.raises(QueueNotFound):
        inspector.queue(queue)
    inspector.cancel("anything")
    assert inspector.servers() == []


def test_a_forced_removal_finds_every_key(six: Cluster) -> None:
    queue = "doomed"
    put(six, queue, *(f"t{number}" for number in range(450)))
    put(six, queue, "grouped", group="g")
    six.inspector.remove(queue, force=True)
    login = six.url.partition("://")[2].rpartition("@")[0]
    masters = 0
    for address in re.findall(r"127\.0\.0\.1:\d+", six.url):
        with redis.Redis.from_url(f"redis://{login}@{address}") as client:
            if client.role()[0] == b"master":
                masters += 1
                assert client.keys("*{doomed}*") == []
    assert masters == 3


def test_a_name_that_the_cluster_cannot_place_is_explained(six: Cluster) -> None:
    """Such a name in the index makes the whole of Go's `stats --cluster` fail."""
    put(six, "images", "t9")
    six.broker.run(publish_queues(["}x"]))
    try:
        found = {one.name: one for one in six.inspector.queues()}
        assert "share no key slot" in found["}x"].problem
        assert found["images"].problem == ""
        assert six.inspector.stats().cluster is not None
        with pytest.raises(InvalidQueueName, match="holds a brace"):
            six.inspector.pause("}x")
    finally:
        six.broker.run(unlist("}x"))


def test_the_tutorials_table(six: Cluster, cli: Callable[..., Result]) -> None:
    for queue in SLOTS:
        put(six, queue, "t1")
    result = cli("queue", "ls", "--cluster")
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert lines["Queue"].split() == ["Queue", "Cluster", "KeySlot", "Cluster", "Nodes"]
    for queue, slot in SLOTS.items():
        words = lines[queue].split()
        assert words[1] == str(slot)
        assert (words[4], words[7]) == ("(master);", "(replica)")
        assert words[3].startswith("127.0.0.1:")
    placed = json.loads(cli("queue", "ls", "--cluster", "--json").stdout)
    found = {one["queue"]: one for one in placed}
    assert {name: found[name]["key_slot"] for name in SLOTS} == SLOTS
    assert list(found) == sorted(found)
    node = found["images"]["nodes"][0]
    assert node.keys() == {"id", "host", "port", "role", "failed"}
    assert len(node["id"]) == 40


def test_stats_show_the_cluster(cli: Callable[..., Result]) -> None:
    result = cli("stats")
    assert result.exit_code == 0, result.output
    assert "Cluster Masters" in result.stdout
    assert "Known nodes:  6" in result.stdout
    found = json.loads(cli("stats", "--json").stdout)
    assert len(found["nodes"]) == 3
    assert found["cluster"] == {"state": "ok", "known_nodes": 6, "size": 3, "slots_ok": 16384}


def test_a_killed_master_is_shown_as_failed_and_its_replica_as_master(
    six: Cluster, cli: Callable[..., Result]
) -> None:
    put(six, "images", "t1")
    old = _images(six).nodes[0]
    pids = {node.port: node.pid for node in embedded.status(six.config).nodes}
    pid = pids[old.port]
    assert pid is not None
    assert pid != os.getpid()
    kill(pid)

    def taken_over() -> bool:
        nodes = _images(six).nodes
        return nodes[0].role == "master" and not nodes[0].failed and nodes[0].id != old.id

    wait_until(taken_over, description="the replica is master", timeout=40)
    nodes = _images(six).nodes
    assert {(node.id, node.failed) for node in nodes} == {(old.id, True), (nodes[0].id, False)}
    shown = cli("queue", "ls", "--cluster").stdout
    (line,) = (line for line in shown.splitlines() if line.startswith("images"))
    assert f"{old.id[:8]} 127.0.0.1:{old.port} (" in line
    assert "failed)" in line
    assert six.inspector.queue("images").pending >= 1


def test_a_queue_whose_nodes_are_dead_hides_no_other(six: Cluster, cli: Callable[..., Result]) -> None:
    put(six, "images", "t1")
    put(six, "webhooks", "t1")
    # The index of all queues is a key too: without its node nothing can be listed.
    doomed = _kill_the_nodes_of_images(six, spared="asynq:queues")
    result = cli("queue", "ls")
    assert result.exit_code == 1
    lines = {line.split()[0]: line.split() for line in result.stdout.splitlines()}
    assert (lines["images"][1], lines["webhooks"][1]) == ("unavailable", "running")
    assert "Warning: queue 'images'" in result.stderr
    shown = {one.queue: one for one in six.inspector.cluster_queues()}
    assert {node.port for node in shown["images"].nodes} == doomed


def test_a_worker_whose_record_is_on_a_dead_node_hides_no_other(
    six: Cluster, cli: Callable[..., Result]
) -> None:
    """Its name in the index says where it ran, and not whether it still does."""
    for host, pid in (("host-7", 7), ("host-3", 3)):
        info = ServerInfo(host=host, pid=pid, server_id="id", concurrency=4, queues={"images": 1})
        replies = six.broker.run_many(write_server(host, pid, "id", info.encode(), [], time.time(), ttl=600))
        assert not [reply for reply in replies if isinstance(reply, Exception)]
    _kill_the_nodes_of_images(six, spared="asynq:servers")
    found = {one.host: one for one in six.inspector.servers()}
    assert (found["host-3"].problem, found["host-3"].concurrency) == ("", 4)
    assert found["host-7"].problem
    assert (found["host-7"].id, found["host-7"].pid, found["host-7"].status) == ("id", 7, "")
    result = cli("server", "ls")
    assert result.exit_code == 1
    lines = {line.split()[0]: line.split() for line in result.stdout.splitlines()}
    assert (lines["host-7"][2], lines["host-3"][3]) == ("unavailable", "0/4")
    assert "Warning: worker host-7:7: " in result.stderr


def _kill_the_nodes_of_images(six: Cluster, *, spared: str) -> set[int]:
    """Their ports. `spared`: a key that is on another node."""
    _wait_for_replicas(six)
    doomed = {node.port for node in _images(six).nodes}
    index = six.broker.driver.topology.owner(key_slot(spared))
    assert index is not None
    assert index[1] not in doomed
    for node in embedded.status(six.config).nodes:
        if node.port in doomed and node.pid is not None:
            kill(node.pid)
    return doomed


def _wait_for_replicas(six: Cluster) -> None:
    wait_until(
        lambda: [node.role for node in _images(six).nodes] == ["master", "replica"],
        description="the queue has a master and a replica",
    )


def _images(six: Cluster) -> ClusterQueue:
    (found,) = six.inspector.cluster_queues(["images"])
    return found

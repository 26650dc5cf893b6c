"""A real local cluster: three masters, three replicas, healed by starting it again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import redis
from redis.cluster import RedisCluster

from taskflow import embedded
from taskflow.embedded import EmbeddedConfig, NodeStatus
from taskflow.errors import EmbeddedServerError
from tests.embedded.support import ENSURE, client_of, free_ports, kill, pids, processes_of, python
from tests.servers import wait_until


def _client(url: str) -> RedisCluster:
    login, _, addresses = url.removeprefix("redis+cluster://:").partition("@")
    host, _, port = addresses.split(",")[0].partition(":")
    return RedisCluster(host=host, port=int(port), password=login, decode_responses=True)


def _write(url: str, value: str) -> None:
    client = _client(url)
    for number in range(50):  # all masters have some of them
        client.set(f"key{number}", value)
    client.close()


def _read(url: str) -> set[object]:
    client = _client(url)
    values: set[object] = {client.get(f"key{number}") for number in range(50)}
    client.close()
    return values


def _with_role(config: EmbeddedConfig, role: str) -> list[NodeStatus]:
    return [node for node in embedded.status(config).nodes if node.role == role]


def test_three_masters_serve_all_slots_and_each_has_a_replica(cluster: EmbeddedConfig) -> None:
    url = embedded.ensure(cluster)
    status = embedded.status(cluster)
    assert status.problem is None
    assert [node.alive for node in status.nodes] == [True] * 6
    masters, replicas = _with_role(cluster, "master"), _with_role(cluster, "replica")
    assert {node.slots for node in masters} == {"0-5460", "5461-10922", "10923-16383"}
    assert {node.master_id for node in replicas} == {node.node_id for node in masters}
    assert url.count("127.0.0.1:") == 6
    assert all(node.port is not None and node.port < 55_535 for node in status.nodes)
    _write(url, "value")
    assert _read(url) == {"value"}


def test_every_node_has_the_settings_of_a_cluster(cluster: EmbeddedConfig) -> None:
    url = embedded.ensure(cluster)
    for node in embedded.status(cluster).nodes:
        with client_of(node, url) as client:
            settings = client.config_get("*")
        assert settings["cluster-node-timeout"] == "5000"
        assert settings["appendonly"] == "yes"
        assert settings["bind"] == "127.0.0.1"
        assert settings["masterauth"] == settings["requirepass"] != ""
        assert settings["maxmemory-policy"] == "noeviction"


def test_a_cluster_is_started_once(cluster: EmbeddedConfig) -> None:
    url = embedded.ensure(cluster)
    first = pids(cluster)
    assert embedded.ensure(EmbeddedConfig(cluster.directory)) == url
    assert pids(cluster) == first
    assert sorted(processes_of(cluster.directory)) == sorted(pid for pid in first if pid)
    with pytest.raises(EmbeddedServerError, match="holds a cluster of 6 nodes, not one server"):
        embedded.ensure(EmbeddedConfig(cluster.directory, nodes=1))


def test_a_killed_replica_is_shown_and_started_again(cluster: EmbeddedConfig) -> None:
    url = embedded.ensure(cluster)
    replica = _with_role(cluster, "replica")[0]
    assert replica.pid is not None
    kill(replica.pid)
    status = embedded.status(cluster)
    assert status.running
    assert status.problem == f"not running: node {replica.index}"
    dead = status.nodes[replica.index]
    assert (dead.alive, dead.pid, dead.answer) == (False, None, "down")
    assert (dead.role, dead.node_id, dead.master_id) == ("replica", replica.node_id, replica.master_id)
    assert embedded.ensure(cluster) == url
    back = embedded.status(cluster).nodes[replica.index]
    assert (back.alive, back.role, back.node_id) == (True, "replica", replica.node_id)


def test_a_master_that_was_replaced_comes_back_as_a_replica(cluster: EmbeddedConfig) -> None:
    url = embedded.ensure(cluster)
    _write(url, "before the failover")
    master = _with_role(cluster, "master")[0]
    assert master.pid is not None
    kill(master.pid)

    def is_replaced() -> bool:
        masters = [
            node for node in embedded.status(cluster).nodes if node.slots == master.slots and node.alive
        ]
        return len(masters) == 1

    wait_until(is_replaced, description="a replica has the slots", timeout=40)
    dead = embedded.status(cluster).nodes[master.index]
    assert (dead.alive, dead.node_id, dead.slots) == (False, master.node_id, "")
    assert embedded.ensure(cluster) == url
    back = embedded.status(cluster).nodes[master.index]
    assert (back.alive, back.role, back.node_id) == (True, "replica", master.node_id)
    assert is_replaced()
    assert _read(url) == {"before the failover"}


def test_all_nodes_come_back_with_their_ports_and_data(cluster: EmbeddedConfig) -> None:
    url = embedded.ensure(cluster)
    _write(url, "kept")
    before = [(node.port, node.node_id) for node in embedded.status(cluster).nodes]
    assert embedded.stop(cluster) == 6
    status = embedded.status(cluster)
    assert not status.running
    # Also of a stopped cluster it is known what each node was.
    assert sorted(node.role for node in status.nodes) == ["master"] * 3 + ["replica"] * 3
    assert embedded.ensure(EmbeddedConfig(cluster.directory)) == url
    assert [(node.port, node.node_id) for node in embedded.status(cluster).nodes] == before
    assert _read(url) == {"kept"}


def test_a_stopped_cluster_may_move_to_other_ports(cluster: EmbeddedConfig) -> None:
    _write(embedded.ensure(cluster), "moved")
    ids = [node.node_id for node in embedded.status(cluster).nodes]
    first = free_ports(6)
    with pytest.raises(EmbeddedServerError, match="already runs on port"):
        embedded.ensure(EmbeddedConfig(cluster.directory, port=first))
    embedded.stop(cluster)
    url = embedded.ensure(EmbeddedConfig(cluster.directory, port=first))
    status = embedded.status(cluster)
    assert [node.port for node in status.nodes] == list(range(first, first + 6))
    assert [node.node_id for node in status.nodes] == ids
    assert _read(url) == {"moved"}


def test_a_creation_that_was_killed_half_way_is_repaired(directory: Path) -> None:
    config = EmbeddedConfig(directory, nodes=6)
    starter = python(ENSURE, str(directory), "6")
    try:
        wait_until(lambda: len(processes_of(directory / "node-5")) == 1, description="all nodes were started")
    finally:
        starter.kill()
        starter.communicate()
    half = processes_of(directory)
    assert half
    with pytest.raises(EmbeddedServerError, match="no server runs"):
        embedded.url(config)
    url = embedded.ensure(config)
    assert len(processes_of(directory)) == 6
    assert not set(half) & set(processes_of(directory))
    assert embedded.status(config).problem is None
    _write(url, "value")
    assert _read(url) == {"value"}


def test_a_cluster_without_a_password_is_quick_and_open(directory: Path) -> None:
    config = EmbeddedConfig(directory, nodes=6, password=False)
    begin = time.monotonic()
    url = embedded.ensure(config)
    assert time.monotonic() - begin < 15  # 2 to 3 s on an idle machine
    assert "@" not in url
    nodes = embedded.status(config).nodes
    with redis.Redis(port=nodes[0].port or 0, decode_responses=True) as client:
        assert client.config_get("requirepass", "masterauth") == {"requirepass": "", "masterauth": ""}

"""What is wrong with servers, by what they say of themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskflow.broker.server_checks import ServerVersion, version_of
from taskflow.inspector.cluster import Shard
from taskflow.inspector.doctor.advice import judge
from taskflow.inspector.doctor.nodes import NodeState, Servers
from taskflow.inspector.doctor.values import Diagnosis, Finding, Severity
from taskflow.inspector.values import Node

INFO = {
    "redis_version": "7.2.4",
    "valkey_version": "9.1.2",
    "role": "master",
    "connected_slaves": "0",
    "maxmemory": "0",
    "maxmemory_policy": "noeviction",
    "aof_enabled": "1",
    "rdb_last_bgsave_status": "ok",
    "aof_last_write_status": "ok",
}
SETTINGS = {
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "save": "",
    "appendonly": "yes",
    "min-replicas-to-write": "0",
}


def node(address: str = "h:1", **fields: object) -> NodeState:
    return replace(NodeState(address, info=INFO, settings=SETTINGS, cluster={}), **fields)  # type: ignore[arg-type]


def codes(servers: Servers) -> list[tuple[str, str]]:
    return [(finding.severity.value, finding.code) for finding in judge(servers)]


def one(**info: str) -> list[tuple[str, str]]:
    return codes(Servers([node(info={**INFO, **info})]))


@pytest.mark.parametrize(
    ("info", "too_old", "unsafe"),
    [
        ({"redis_version": "6.2.20"}, True, False),
        ({"redis_version": "6.2.19"}, True, True),
        ({"redis_version": "5.0.14"}, True, True),
        ({"redis_version": "7.0.15"}, False, True),
        ({"redis_version": "7.2.10"}, False, True),
        ({"redis_version": "7.2.11"}, False, False),
        ({"redis_version": "7.4.5"}, False, True),
        ({"redis_version": "7.4.6"}, False, False),
        ({"redis_version": "8.0.3"}, False, True),
        ({"redis_version": "8.0.4"}, False, False),
        ({"redis_version": "8.2.1"}, False, True),
        ({"redis_version": "8.2.2"}, False, False),
        ({"redis_version": "8.4.0"}, False, False),
        ({"redis_version": "7.2.4", "valkey_version": "7.2.10"}, False, True),
        ({"redis_version": "7.2.4", "valkey_version": "7.2.11"}, False, False),
        ({"redis_version": "7.2.4", "valkey_version": "8.0.5"}, False, True),
        ({"redis_version": "7.2.4", "valkey_version": "8.0.6"}, False, False),
        ({"redis_version": "7.2.4", "valkey_version": "8.1.3"}, False, True),
        ({"redis_version": "7.2.4", "valkey_version": "8.1.4"}, False, False),
        ({"redis_version": "7.2.4", "valkey_version": "9.0.0"}, False, False),
    ],
)
def test_versions(info: dict[str, str], too_old: bool, unsafe: bool) -> None:
    version = version_of(info)
    assert version is not None
    assert (version.is_too_old, version.is_unsafe) == (too_old, unsafe)
    found = {code for _, code in codes(Servers([node(info={**INFO, "valkey_version": "", **info})]))}
    assert ("server-too-old" in found, "unsafe-lua" in found) == (too_old, unsafe)


def test_a_version_that_is_none_is_passed_over() -> None:
    assert version_of({}) is None
    assert version_of({"redis_version": "unknown"}) is None
    assert version_of({"redis_version": "8.0"}) == ServerVersion("Redis", (8, 0, 0))
    assert one(valkey_version="", redis_version="") == []


def test_a_server_as_it_should_be() -> None:
    assert codes(Servers([node()])) == []


def test_eviction_deletes_tasks_where_memory_is_limited() -> None:
    settings = {**SETTINGS, "maxmemory-policy": "allkeys-lru"}
    assert codes(Servers([node(settings=settings)])) == [("note", "eviction-possible")]
    settings["maxmemory"] = "1000000"
    assert codes(Servers([node(settings=settings)])) == [("error", "eviction")]
    # Without the right to read the settings INFO tells.
    info = {**INFO, "maxmemory": "1000000", "maxmemory_policy": "volatile-lru"}
    assert codes(Servers([node(info=info, settings=None)])) == [("error", "eviction")]


def test_persistence() -> None:
    off = {**INFO, "aof_enabled": "0"}
    assert codes(Servers([node(info=off)])) == [("warning", "no-persistence")]
    assert codes(Servers([node(info=off, settings={**SETTINGS, "save": "3600 1"})])) == []
    assert codes(Servers([node(info=off, settings=None)])) == [("note", "persistence-unknown")]
    assert codes(Servers([node(info={**off, "rdb_saves": "3"}, settings=None)])) == []
    assert one(aof_last_write_status="err") == [("error", "persistence-fails")]


def test_replicas() -> None:
    assert one(connected_slaves="1") == [("note", "min-replicas")]
    settings = {**SETTINGS, "min-replicas-to-write": "1"}
    served = {**INFO, "connected_slaves": "1", "min_slaves_good_slaves": "1"}
    assert codes(Servers([node(info=served, settings=settings)])) == []
    assert codes(Servers([node(info=served, settings=None)])) == []
    alone = {**INFO, "min_slaves_good_slaves": "0"}
    assert codes(Servers([node(info=alone, settings=settings)])) == [("error", "writes-refused")]
    cut_off = {**INFO, "role": "slave", "master_link_status": "down", "master_host": "m", "master_port": "7"}
    assert codes(Servers([node(info=cut_off)])) == [("error", "replica-cut-off")]


def test_clocks() -> None:
    assert codes(Servers([node(skew_seconds=0.9)])) == []
    assert codes(Servers([node(skew_seconds=1.5, doubt_seconds=0.6)])) == []
    assert codes(Servers([node(skew_seconds=-1.5, doubt_seconds=0.01)])) == [("warning", "clock-skew")]
    apart = [node("a:1", skew_seconds=0.8), node("b:1", skew_seconds=-0.8)]
    (finding,) = judge(Servers(apart))
    assert (finding.code, finding.where) == ("clock-skew", "a:1")
    assert "1.6 s ahead of that of b:1" in finding.what


def shard(first: int, last: int, *nodes: tuple[int, str, bool]) -> Shard:
    members = tuple(
        Node("id", "h", port, "master" if role == "master" else "replica", failed)
        for port, role, failed in nodes
    )
    return Shard(((first, last),), members)


def test_a_cluster() -> None:
    whole = shard(0, 16383, (1, "master", False), (2, "replica", False))
    nodes = [node("h:1"), node("h:2", role="replica", info={**INFO, "role": "slave"})]
    assert codes(Servers(nodes, [whole])) == [("note", "min-replicas")]
    bare = shard(0, 16383, (1, "master", False))
    assert codes(Servers([node("h:1")], [bare])) == [("warning", "no-replica")]
    part = shard(0, 16000, (1, "master", False))
    found = Servers([node("h:1", cluster={"cluster_state": "fail"})], [part])
    assert found.uncovered == 383
    assert codes(found) == [
        ("error", "cluster-down"),
        ("error", "slots-uncovered"),
        ("warning", "no-replica"),
    ]
    dead = shard(0, 16383, (1, "master", False), (2, "replica", True))
    away = node("h:2", role="replica", failed=True, problem="no answer", info=None)
    assert codes(Servers([node("h:1"), away], [dead])) == [("error", "node-away"), ("warning", "no-replica")]
    strange = node("h:2", role="replica", failed=True, info={**INFO, "role": "slave"})
    assert ("error", "node-failed") in codes(Servers([node("h:1"), strange], [dead]))


def test_only_notes_are_no_reason_for_alarm() -> None:
    note = Finding(Severity.NOTE, "x", "x", "x", "x")
    assert Diagnosis((note,), (), (), ()).is_clean
    assert not Diagnosis((replace(note, severity=Severity.WARNING),), (), (), ()).is_clean

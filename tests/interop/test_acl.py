"""Go's client, server and Inspector as the users of `taskflow acl`: each does its whole part, and no more than that."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from taskflow.broker.acl import PREFIX, ROLES
from tests.conftest import Cluster
from tests.interop.golang import Peer, PeerError
from tests.servers import PASSWORD, Server, wait_until

pytestmark = pytest.mark.interop

STATES = ("pending", "active", "scheduled", "retry", "archived", "completed")
KINDS: dict[str, dict[str, object]] = {
    "plain": {},
    "later": {"process_in_ms": 3_600_000},
    "unique": {"unique_ms": 600_000},
    "unique-later": {"unique_ms": 600_000, "process_in_ms": 3_600_000, "payload": "1"},
    "grouped": {"group": "G"},
    "unique-grouped": {"group": "G", "unique_ms": 600_000, "payload": "2"},
}


@pytest.fixture
def admin(guarded: Server) -> Iterator[redis.Redis]:
    client = redis.Redis(port=guarded.port)
    client.acl_log_reset()
    yield client
    client.close()


def peer_as(binary: Path, server: Server, role: str) -> Peer:
    return Peer(binary, server.address, PASSWORD, PREFIX + role)


def denied(admin: redis.Redis) -> list[tuple[str, str, str]]:
    """Whom the server has refused what. How a client calls itself is its own affair: go-redis does without."""
    log = [(entry["username"], entry["reason"], entry["object"]) for entry in admin.acl_log()]
    return [entry for entry in log if not entry[2].startswith("client|")]


def test_gos_client_enqueues_as_a_producer(
    peer_binary: Path, guarded: Server, admin: redis.Redis, queue: str
) -> None:
    producer = peer_as(peer_binary, guarded, "producer")
    answers = producer.enqueue(
        [{"type": "t", "queue": queue, "id": name, **kind} for name, kind in KINDS.items()]
    )
    assert all(answer["ok"] for answer in answers), answers
    assert not denied(admin)
    with pytest.raises(PeerError, match=r"NOPERM|permission"):
        producer.inspect("pause", queue=queue)


def test_gos_server_works_as_a_worker(
    peer_binary: Path, guarded: Server, admin: redis.Redis, queue: str
) -> None:
    """It takes, forwards, retries, archives, keeps results, aggregates, hears cancellations, and looks for what is lost."""
    producer, worker = (peer_as(peer_binary, guarded, role) for role in ("producer", "worker"))
    everybody = Peer(peer_binary, guarded.address)
    tasks: list[dict[str, object]] = [
        {"id": "plain"},
        {"id": "kept", "retention_ms": 1000},
        {"id": "kept-unique", "retention_ms": 60_000, "unique_ms": 600_000, "payload": "x"},
        {"id": "unique", "unique_ms": 600_000, "payload": "y"},
        {"id": "later", "process_in_ms": 1000},
        {"id": "again", "payload": '{"go": "fail:1"}'},
        {"id": "fails", "payload": '{"go": "fail"}', "max_retry": 0},
        {"id": "slow", "payload": '{"go": "sleep:60000"}', "max_retry": 0},
        {"id": "one", "group": "G"},
        {"id": "two", "group": "G"},
    ]
    answers = producer.enqueue([{"type": "for:go", "queue": queue, **task} for task in tasks])
    assert all(answer["ok"] for answer in answers), answers
    # One that a worker has left behind.
    lost = producer.enqueue([{"type": "for:go", "queue": queue, "id": "lost"}])[0]
    assert lost["ok"]
    fast = {"retry_delay_ms": 0, "delayed_check_ms": 100, "task_check_ms": 50, "janitor_ms": 200}
    groups = {"group_grace_ms": 1000, "group_max_size": 2}
    with worker.work({queue: 1}, concurrency=4, shutdown_ms=100, **fast, **groups) as running:
        for name in ("plain", "kept", "kept-unique", "unique", "later", "again", "fails", "lost"):
            running.wait_for_end(name)
        running.wait_for(
            lambda events: any(
                event["event"] == "end" and event["id"] == "again" and "error" not in event
                for event in events
            ),
            20,
            "what failed once has run again",
        )
        running.wait_for(
            lambda events: any(event["event"] == "start" and event["id"] == "slow" for event in events),
            20,
            "the slow task has started",
        )
        wait_until(lambda: everybody.inspect("servers"), description="it is listed")
        everybody.inspect("cancel", id="slow")
        assert running.wait_for_end("slow")["error"] == "context canceled"
        for name in ("slow", "fails"):
            wait_until(
                lambda name=name: everybody.inspect("task", queue=queue, id=name)["state"] == "archived",
                description=f"{name} is archived",
            )
        wait_until(
            lambda: everybody.inspect("info", queue=queue)["groups"] == 0, description="the group is joined"
        )
        running.terminate()
        assert "NOPERM" not in running.log
    assert not denied(admin)


def test_gos_inspector_reads_as_a_viewer_and_changes_nothing(
    peer_binary: Path, guarded: Server, admin: redis.Redis, queue: str
) -> None:
    """What a dashboard shows: asynqmon is this Inspector and a page."""
    producer, viewer = (peer_as(peer_binary, guarded, role) for role in ("producer", "viewer"))
    producer.enqueue([{"type": "t", "queue": queue, "id": name, **kind} for name, kind in KINDS.items()])
    assert queue in viewer.inspect("queues")
    assert viewer.inspect("info", queue=queue)["pending"] == 2
    for state in STATES:
        viewer.inspect("list", queue=queue, state=state)
    assert len(viewer.inspect("list", queue=queue, state="aggregating", group="G")) == 2
    assert viewer.inspect("task", queue=queue, id="plain")["state"] == "pending"
    assert viewer.inspect("groups", queue=queue)
    viewer.inspect("history", queue=queue, days=3)
    viewer.inspect("servers")
    viewer.inspect("scheduler_entries")
    viewer.inspect("scheduler_events", id="none")
    viewer.inspect("cluster_keyslot", queue=queue)
    refused = [entry for entry in denied(admin) if entry[2] != "cluster|keyslot"]
    assert not refused
    for op in (
        "pause",
        "runall",
        "archiveall",
        "deleteall",
        "delete_queue",
        "run",
        "archive",
        "delete",
        "cancel",
    ):
        with pytest.raises(PeerError, match=r"NOPERM|permission"):
            viewer.inspect(op, queue=queue, id="later", state="scheduled", force=True)
    assert viewer.inspect("info", queue=queue)["scheduled"] == 2


def test_gos_inspector_administers_as_an_operator(
    peer_binary: Path, guarded: Server, admin: redis.Redis, queue: str
) -> None:
    producer, operator = (peer_as(peer_binary, guarded, role) for role in ("producer", "operator"))
    answers = producer.enqueue(
        [{"type": "t", "queue": queue, "id": name, **kind} for name, kind in KINDS.items()]
        + [{"type": "t", "queue": queue, "id": f"n{n}", "process_in_ms": 3_600_000} for n in range(4)]
    )
    assert all(answer["ok"] for answer in answers), answers
    operator.inspect("pause", queue=queue)
    operator.inspect("unpause", queue=queue)
    operator.inspect("run", queue=queue, id="n0")
    operator.inspect("archive", queue=queue, id="n1")
    operator.inspect("archive", queue=queue, id="plain")
    operator.inspect("archive", queue=queue, id="grouped")
    operator.inspect("update_payload", queue=queue, id="n2", payload="{}")
    operator.inspect("delete", queue=queue, id="unique-grouped")
    operator.inspect("delete", queue=queue, id="n2")
    for op, state in (
        ("runall", "archived"),
        ("archiveall", "pending"),
        ("runall", "archived"),
        ("archiveall", "scheduled"),
        ("runall", "scheduled"),
        ("runall", "retry"),
        ("archiveall", "retry"),
        *(("deleteall", state) for state in ("pending", "scheduled", "retry", "archived", "completed")),
    ):
        operator.inspect(op, queue=queue, state=state)
    for number, op in enumerate(("runall", "archiveall", "deleteall")):
        group = f"H{number}"
        assert producer.enqueue([{"type": "t", "queue": queue, "group": group}])[0]["ok"]
        operator.inspect(op, queue=queue, state="aggregating", group=group)
    operator.inspect("cancel", id="nobody")
    operator.inspect("servers")
    operator.inspect("delete_queue", queue=queue, force=True)
    assert producer.enqueue([{"type": "t", "queue": queue, "id": "last", "retention_ms": 1}])[0]["ok"]
    operator.inspect("delete", queue=queue, id="last")
    operator.inspect("delete_queue", queue=queue)
    assert not denied(admin)


def test_gos_programs_use_the_users_on_a_cluster(peer_binary: Path, cluster: Cluster, queue: str) -> None:
    """A client of a cluster asks more of it: who owns the slots, and which commands there are."""
    nodes = [redis.Redis(port=node.port) for node in cluster.nodes]
    try:
        for node in nodes:
            node.acl_log_reset()
            for role in ROLES:
                node.execute_command(*shlex.split(role.setuser(PASSWORD)))
        producer, _canceller, worker, viewer, operator = (
            Peer(peer_binary, cluster.address, PASSWORD, PREFIX + role.name) for role in ROLES
        )
        assert producer.enqueue([{"type": "for:go", "queue": queue, "id": "a"}])[0]["ok"]
        with worker.work({queue: 1}) as running:
            running.wait_for_end("a")
        viewer.inspect("info", queue=queue)
        viewer.inspect("cluster_keyslot", queue=queue)
        assert viewer.inspect("cluster_nodes", queue=queue)
        operator.inspect("pause", queue=queue)
        operator.inspect("unpause", queue=queue)
        assert not [entry for node in nodes for entry in denied(node)]
    finally:
        for node in nodes:
            for role in ROLES:
                node.acl_deluser(PREFIX + role.name)
            node.close()

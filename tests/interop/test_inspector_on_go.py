"""Our inspector on queues that only Go has touched, and Go's inspector on what ours has moved."""

from __future__ import annotations

import pytest
import redis

from taskflow.broker.sync import Broker
from taskflow.inspector import Inspector
from taskflow.states import State
from tests.interop.golang import Peer
from tests.servers import wait_until

pytestmark = pytest.mark.interop


@pytest.fixture
def inspector(broker: Broker) -> Inspector:
    return Inspector(broker)


def task(queue: str, task_id: str, go: str = "ok", **options: object) -> dict[str, object]:
    return {"type": "go:task", "payload": f'{{"go":"{go}"}}', "queue": queue, "id": task_id, **options}


def test_every_state_of_gos_is_read_and_moved(peer: Peer, inspector: Inspector, queue: str) -> None:
    answers = peer.enqueue(
        [
            task(queue, "kept", "result:done", retention_ms=600_000),
            task(queue, "retried", "fail"),
            task(queue, "archived", "skip"),
            task(queue, "running", "sleep:60000"),
            task(queue, "later", process_in_ms=3_600_000),
            task(queue, "grouped", group="g"),
        ]
    )
    assert all(answer["ok"] for answer in answers), answers
    with peer.work({queue: 1}, retry_delay_ms=600_000, shutdown_ms=200) as worker:
        for task_id in ("kept", "retried", "archived"):
            worker.wait_for_end(task_id)
        wait_until(lambda: inspector.queue(queue).active == 1, description="Go runs the last task")
        _read_while_running(inspector, queue, worker.pid)
    wait_until(lambda: inspector.queue(queue).pending == 1, description="Go hands its task back")
    assert inspector.servers() == []
    _move(peer, inspector, queue)


def _read_while_running(inspector: Inspector, queue: str, pid: int) -> None:
    found = inspector.queue(queue)
    assert {state: found.count(state) for state in State} == {
        **dict.fromkeys(State, 1),
        State.PENDING: 0,
    }
    assert (found.processed, found.failed, found.groups) == (3, 2, 1)
    states = {"kept": State.COMPLETED, "retried": State.RETRY, "archived": State.ARCHIVED}
    states |= {"running": State.ACTIVE, "later": State.SCHEDULED, "grouped": State.AGGREGATING}
    for task_id, state in states.items():
        shown = inspector.task(queue, task_id)
        assert (shown.state, shown.type) == (state, "go:task")
        assert [one.id for one in inspector.tasks(queue, state).tasks] == [task_id]
    assert inspector.task(queue, "kept").result == b"done"
    assert inspector.task(queue, "retried").last_error != ""
    assert not inspector.task(queue, "running").is_orphaned
    wait_until(
        lambda: any(one.running for one in inspector.servers()), description="Go's record names its task"
    )
    (server,) = inspector.servers()
    assert (server.pid, server.status, server.queues) == (pid, "active", {queue: 1})
    assert [one.id for one in server.running] == ["running"]


def _move(peer: Peer, inspector: Inspector, queue: str) -> None:
    """Each move by us is what Go's inspector then sees."""
    for task_id in ("kept", "retried", "archived", "later", "grouped"):
        inspector.run(queue, task_id)
        assert peer.inspect("task", queue=queue, id=task_id)["state"] == "pending"
    info = peer.inspect("info", queue=queue)
    assert (info["pending"], info["size"], info["groups"]) == (6, 6, 0)
    inspector.archive(queue, "later")
    assert peer.inspect("task", queue=queue, id="later")["state"] == "archived"
    assert inspector.archive_all(queue, State.PENDING) == 5
    assert [one["id"] for one in peer.inspect("list", queue=queue, state="archived")] != []
    assert inspector.run_all(queue, State.ARCHIVED) == 6
    assert inspector.pause(queue)
    assert peer.inspect("info", queue=queue)["paused"]
    peer.inspect("unpause", queue=queue)
    assert not inspector.queue(queue).paused
    with peer.work({queue: 1}, shutdown_ms=200) as worker:
        for task_id in ("kept", "retried", "archived", "later", "grouped"):
            worker.wait_for_end(task_id)


def test_a_forced_removal_leaves_no_trace_for_go(
    peer: Peer, inspector: Inspector, queue: str, raw: redis.Redis
) -> None:
    """Go's own leaves the lock of a unique task behind: the next one is a duplicate of nothing."""
    tasks = [
        task(queue, "unique", unique_ms=600_000),
        task(queue, "grouped", "fail", group="g", unique_ms=600_000),
        task(queue, "later", "skip", process_in_ms=3_600_000, unique_ms=600_000),
    ]
    assert all(answer["ok"] for answer in peer.enqueue(tasks))
    assert queue in peer.inspect("queues")
    inspector.remove(queue, force=True)
    assert queue not in peer.inspect("queues")
    assert [key for key in raw.keys("*") if f"{{{queue}}}".encode() in key] == []
    assert all(answer["ok"] for answer in peer.enqueue(tasks))
    inspector.remove(queue, force=True)


def test_deleting_by_hand_frees_the_lock_of_gos_grouped_task(
    peer: Peer, inspector: Inspector, queue: str
) -> None:
    grouped = [task(queue, "t1", group="g", unique_ms=600_000)]
    assert peer.enqueue(grouped)[0]["ok"]
    assert peer.enqueue(grouped)[0].get("duplicate")
    inspector.delete(queue, "t1")
    assert peer.enqueue(grouped)[0]["ok"]
    assert inspector.delete_all(queue, State.AGGREGATING, "g") == 1
    assert peer.enqueue(grouped)[0]["ok"]

"""What the inspector says of queues, and what it does to them."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import redis

from taskflow.broker.commands.enqueue import NewTask, enqueue
from taskflow.broker.sync import Broker
from taskflow.errors import ConfigurationError, InvalidQueueName, QueueNotEmpty, QueueNotFound
from taskflow.inspector import Inspector
from taskflow.message.task_message import unique_key
from taskflow.states import State
from tests.inspector.stored import PAYLOAD, Stored
from tests.servers import wait_until

RESTING = [state for state in State if state is not State.ACTIVE]


def test_a_queue_is_counted_in_every_state(inspector: Inspector, stored: Stored) -> None:
    for state in State:
        stored.put(state, f"{state}-1")
    stored.put(State.AGGREGATING, "t2", group="g2")
    found = inspector.queue(stored.queue)
    counts = {state: found.count(state) for state in State}
    assert counts == {**dict.fromkeys(State, 1), State.AGGREGATING: 2}
    assert (found.size, found.groups, found.paused, found.problem) == (8, 2, False, "")
    assert (found.processed, found.failed, found.processed_total, found.failed_total) == (3, 2, 3, 2)
    assert found.oldest_pending_since is not None
    assert timedelta() < found.latency < timedelta(seconds=30)


def test_tasks_that_are_being_aggregated_count_as_aggregating(inspector: Inspector, stored: Stored) -> None:
    for task_id in ("t1", "t2"):
        stored.put(State.AGGREGATING, task_id)
    stored.aggregation_set("g1", "t1", "t2")
    found = inspector.queue(stored.queue)
    assert (found.aggregating, found.groups) == (2, 0)


def test_all_queues_come_sorted_with_one_pipeline(
    inspector: Inspector, broker: Broker, raw: redis.Redis
) -> None:
    names = [f"many-{number:03}" for number in range(250)]
    for name in names:
        Stored(broker, raw, name)
    raw.set("asynq:{many-007}:paused", 1)
    found = [one for one in inspector.queues() if one.name.startswith("many-")]
    assert [one.name for one in found] == names
    assert [one.name for one in found if one.paused] == ["many-007"]
    raw.srem("asynq:queues", *names)


def test_a_queue_that_cannot_be_read_hides_no_other(
    inspector: Inspector, stored: Stored, raw: redis.Redis
) -> None:
    raw.sadd("asynq:queues", "wrong-type", b"\xff\xfe")
    raw.set("asynq:{wrong-type}:pending", "text")
    try:
        found = {one.name: one for one in inspector.queues()}
        assert "WRONGTYPE" in found["wrong-type"].problem
        assert found["\udcff\udcfe"].problem == "", "a name of any bytes is still a queue"
        assert found[stored.queue].problem == ""
    finally:
        raw.srem("asynq:queues", "wrong-type", b"\xff\xfe")
        raw.delete("asynq:{wrong-type}:pending")


def test_an_unknown_queue_is_named(inspector: Inspector) -> None:
    for order in (
        inspector.queue,
        inspector.pause,
        inspector.resume,
        inspector.remove,
        inspector.purge,
        inspector.history,
        inspector.groups,
        lambda name: inspector.tasks(name, State.PENDING),
        lambda name: inspector.task(name, "t1"),
        lambda name: inspector.run(name, "t1"),
        lambda name: inspector.delete_all(name, State.RETRY),
    ):
        with pytest.raises(QueueNotFound, match="'no-such-queue' does not exist"):
            order("no-such-queue")


@pytest.mark.parametrize("name", ["", "a{b}", " ", "a\x00b", "\udcff"])
def test_a_name_that_no_queue_can_have_is_explained(inspector: Inspector, name: str) -> None:
    with pytest.raises(InvalidQueueName):
        inspector.queue(name)


@pytest.mark.parametrize("state", list(State))
def test_a_queue_that_is_not_listed_is_found_by_its_keys(
    inspector: Inspector, broker: Broker, raw: redis.Redis, queue: str, state: State
) -> None:
    """A client of Go's enters a queue once; after a removal the queue has tasks and no entry."""
    Stored(broker, raw, queue, listed=False).put(state, "t1")
    assert queue not in inspector.queue_names()
    assert inspector.queue(queue).count(state) == 1
    assert inspector.pause(queue)


def test_any_name_that_go_has_used_works_on_one_server(
    inspector: Inspector, broker: Broker, raw: redis.Redis
) -> None:
    for name in ("with space", "}x", "{y}"):
        Stored(broker, raw, name).put(State.PENDING, "t1")
        assert inspector.queue(name).pending == 1
        inspector.remove(name, force=True)


def test_a_listed_queue_without_keys_exists(inspector: Inspector, stored: Stored) -> None:
    assert inspector.queue(stored.queue).size == 0
    assert inspector.tasks(stored.queue, State.PENDING).tasks == ()


def test_history_is_by_day_newest_first(inspector: Inspector, stored: Stored) -> None:
    stored.put(State.ARCHIVED, "t1")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date()
    stored.raw.set(stored.keys.processed_on(yesterday.isoformat()), 7)
    days = inspector.history(stored.queue, 3)
    assert [(one.processed, one.failed) for one in days] == [(1, 1), (7, 0), (0, 0)]
    assert days[1].day == yesterday


def test_pause_and_resume(inspector: Inspector, stored: Stored) -> None:
    assert [inspector.pause(stored.queue), inspector.pause(stored.queue)] == [True, False]
    assert inspector.queue(stored.queue).paused
    assert [inspector.resume(stored.queue), inspector.resume(stored.queue)] == [True, False]


def test_purge_deletes_what_has_yet_to_run(inspector: Inspector, stored: Stored) -> None:
    for state in State:
        stored.put(state, f"{state}-1")
    stored.put(State.AGGREGATING, "t2", group="g2")
    assert inspector.purge(stored.queue) == 5
    left = {state for state in State if inspector.queue(stored.queue).count(state)}
    assert left == {State.ACTIVE, State.ARCHIVED, State.COMPLETED}


# --- removal -------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", RESTING)
def test_a_queue_with_tasks_is_removed_with_force_only(
    inspector: Inspector, stored: Stored, state: State
) -> None:
    """Go's plain removal leaves completed and grouped tasks behind, in a queue that nobody can list."""
    stored.put(state, "t1")
    with pytest.raises(QueueNotEmpty, match="--force"):
        inspector.remove(stored.queue)
    assert inspector.queue(stored.queue).count(state) == 1
    inspector.remove(stored.queue, force=True)
    assert stored.all_keys() == []
    assert stored.queue not in inspector.queue_names()


def test_removal_takes_everything_that_carries_the_name(
    inspector: Inspector, stored: Stored, raw: redis.Redis
) -> None:
    for state in RESTING:
        for number in range(150):
            stored.put(state, f"{state}-{number}")
    stored.put(State.PENDING, "locked", lock=True)
    stored.aggregation_set("g1", *(f"aggregating-{number}" for number in range(20)))
    stored.raw.sadd(stored.keys.groups, "empty")
    stored.raw.zadd(stored.keys.aggregation_sets, {"asynq:{other}:g:a:b": 1})
    stored.go_hash("lost", "active")
    raw.set(stored.keys.unique_prefix + "other:1", "gone")
    raw.set(stored.keys.taken_by("somebody"), "x")
    raw.zadd(stored.keys.orphans, {"x": 1})
    raw.set(f"asynq:{{{stored.queue}x}}:processed", 1)
    inspector.remove(stored.queue, force=True)
    assert stored.all_keys() == []
    assert raw.delete(f"asynq:{{{stored.queue}x}}:processed") == 1


def test_an_empty_queue_is_removed_without_force(inspector: Inspector, stored: Stored) -> None:
    stored.raw.set(stored.keys.processed, 3)
    stored.raw.set(stored.keys.paused, 1)
    stored.raw.sadd(stored.keys.groups, "empty")
    inspector.remove(stored.queue)
    assert stored.all_keys() == []


def test_a_task_in_no_list_keeps_its_queue(inspector: Inspector, stored: Stored) -> None:
    stored.go_hash("lost", "pending")
    with pytest.raises(QueueNotEmpty, match="stand in no list"):
        inspector.remove(stored.queue)
    inspector.run(stored.queue, "lost")
    assert stored.ids(State.PENDING) == ["lost"]


def test_a_queue_that_runs_tasks_is_not_removed(inspector: Inspector, stored: Stored) -> None:
    stored.put(State.ACTIVE, "t1")
    stored.put(State.PENDING, "t2")
    for force in (False, True):
        with pytest.raises(QueueNotEmpty, match="has an active task"):
            inspector.remove(stored.queue, force=force)
    assert stored.ids(State.PENDING) == ["t2"]
    assert not inspector.queue(stored.queue).paused


def test_what_a_dead_worker_left_does_not_keep_a_queue_for_ever(inspector: Inspector, stored: Stored) -> None:
    """Go's dequeue of an id without a hash leaves a lease that nothing ends: its queue cannot be removed."""
    stored.put(State.ACTIVE, "t1")
    stored.raw.zadd(stored.keys.lease, {"t1": time.time() - 3600})
    stored.raw.hset(stored.keys.task("stub"), "state", "active")
    stored.raw.lpush(stored.keys.active, "stub")
    stored.raw.zadd(stored.keys.lease, {"stub": time.time() + 20})
    inspector.remove(stored.queue, force=True)
    assert stored.all_keys() == []


def test_a_name_with_wildcards_removes_no_other_queue(
    inspector: Inspector, broker: Broker, raw: redis.Redis, queue: str
) -> None:
    star, other = Stored(broker, raw, f"{queue}*"), Stored(broker, raw, f"{queue}-other")
    other.raw.set(other.keys.processed, 1)
    star.raw.set(star.keys.processed, 1)
    inspector.remove(star.queue)
    assert not raw.exists(star.keys.processed)
    assert raw.exists(other.keys.processed)


def test_a_client_that_enqueues_meanwhile_loses_no_task(
    inspector: Inspector, broker: Broker, stored: Stored
) -> None:
    """Either the task is deleted as a whole, or it stays as a whole, and the queue stays visible."""
    accepted: list[str] = []
    done = threading.Event()

    def client() -> None:
        while not done.is_set():
            task_id = f"t{len(accepted)}"
            broker.run(enqueue(stored.queue, [NewTask(stored.message(task_id))]))
            accepted.append(task_id)

    thread = threading.Thread(target=client)
    thread.start()
    try:
        wait_until(lambda: len(accepted) > 50, description="the client is busy")
        for _ in range(3):
            try:
                inspector.remove(stored.queue, force=True)
            except (QueueNotEmpty, QueueNotFound):
                continue
    finally:
        done.set()
        thread.join()
    listed = set(stored.ids(State.PENDING))
    hashes = {
        key.decode().removeprefix(stored.keys.task_prefix) for key in stored.all_keys() if b":t:" in key
    }
    assert listed == hashes
    assert not listed or stored.queue in inspector.queue_names() or inspector.queue(stored.queue).pending
    assert not stored.raw.exists(stored.keys.paused)


def test_a_removed_queue_leaves_no_lock(inspector: Inspector, stored: Stored) -> None:
    """In Go a lock outlives its queue, and the next task is refused as a duplicate."""
    stored.put(State.SCHEDULED, "t1", unique_key=unique_key(stored.queue, "shop:pay", PAYLOAD))
    stored.raw.set(unique_key(stored.queue, "shop:pay", PAYLOAD), "t1")
    inspector.remove(stored.queue, force=True)
    stored.put(State.PENDING, "t2", lock=True)
    assert stored.ids(State.PENDING) == ["t2"]


def test_one_server_is_no_cluster(inspector: Inspector) -> None:
    with pytest.raises(ConfigurationError, match="is not a cluster"):
        inspector.cluster_queues()


def test_stats_tell_the_server_and_the_totals(inspector: Inspector, stored: Stored) -> None:
    stored.put(State.RETRY, "t1")
    found = inspector.stats()
    assert found.cluster is None
    assert found.total(State.RETRY) >= 1
    (node,) = found.nodes
    assert node.version.startswith(("Valkey ", "Redis "))
    assert node.memory > 0

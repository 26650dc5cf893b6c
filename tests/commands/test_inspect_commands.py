"""The scripts by which operators look at tasks and move them: state before, call, state after."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from taskflow.broker.command import Command
from taskflow.broker.commands.admin import (
    Moved,
    Swept,
    archive_all,
    archive_tasks,
    delete_all,
    delete_tasks,
    run_all,
    run_tasks,
)
from taskflow.broker.commands.inspect import (
    count_queue,
    list_groups,
    list_tasks,
    read_row,
)
from taskflow.broker.commands.queues import pause, remove_keys, remove_step, resume
from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.broker.words import Emptied
from taskflow.message.task_message import unique_key
from taskflow.states import State
from tests.inspector.stored import PAYLOAD, Stored

WAITING = [State.SCHEDULED, State.RETRY, State.AGGREGATING]


@pytest.fixture
def stored(broker: Broker, raw: redis.Redis, queue: str) -> Stored:
    return Stored(broker, raw, queue)


# --- run, archive, delete by id ------------------------------------------------------------------


@pytest.mark.parametrize("state", [*WAITING, State.ARCHIVED, State.COMPLETED])
def test_run_moves_a_task_to_pending_from_wherever_it_waits(
    broker: Broker, stored: Stored, state: State
) -> None:
    stored.put(state, "t1")
    assert broker.run(run_tasks(stored.queue, ["t1"])) == [Moved.MOVED]
    assert stored.ids(State.PENDING) == ["t1"]
    assert stored.ids(state) == []
    assert stored.state("t1") == "pending"
    assert not stored.raw.exists(stored.keys.groups)
    since = int(stored.raw.hget(stored.keys.task("t1"), "pending_since"))
    now = stored.raw.time()
    assert 0 <= now[0] * 10**9 + now[1] * 1000 - since < 5 * 10**9


def test_run_refuses_what_runs_or_waits_already(broker: Broker, stored: Stored) -> None:
    stored.put(State.ACTIVE, "t1")
    stored.put(State.PENDING, "t2")
    replies = broker.run(run_tasks(stored.queue, ["t1", "t2", "none"]))
    assert replies == [Moved.IS_ACTIVE, Moved.IS_THERE, Moved.NO_SUCH_TASK]
    assert stored.ids(State.PENDING) == ["t2"]
    assert stored.ids(State.ACTIVE) == ["t1"]


@pytest.mark.parametrize("order", [run_tasks, archive_tasks, delete_tasks])
def test_a_repeated_order_gets_the_reply_of_its_first_copy(
    broker: Broker, stored: Stored, order: Callable[[str, list[str]], Command[list[Moved]]]
) -> None:
    """A lost reply must not turn a success into a refusal, nor a refusal into a success."""
    stored.put(State.SCHEDULED, "t1")
    first = order(stored.queue, ["t1", "none"])
    assert broker.run(first) == [Moved.MOVED, Moved.NO_SUCH_TASK]
    stored.put(State.SCHEDULED, "none")
    assert broker.run(first.again()) == [Moved.MOVED, Moved.NO_SUCH_TASK]
    assert stored.state("none") == "scheduled"


@pytest.mark.parametrize("order", [run_tasks, archive_tasks, delete_tasks])
def test_a_repeated_order_whose_first_copy_was_lost_is_carried_out(
    broker: Broker, stored: Stored, order: Callable[[str, list[str]], Command[list[Moved]]]
) -> None:
    """Nobody knows which of the two was lost, the order or its reply."""
    stored.put(State.SCHEDULED, "t1")
    assert broker.run(order(stored.queue, ["t1"]).again()) == [Moved.MOVED]
    assert stored.ids(State.SCHEDULED) == []


@pytest.mark.parametrize("order", [run_all, archive_all, delete_all])
def test_a_repeated_step_over_a_state_gets_the_reply_of_its_first_copy(
    broker: Broker, stored: Stored, order: Callable[..., Command[Swept]]
) -> None:
    for number in range(5):
        stored.put(State.RETRY, f"t{number}")
    first = order(stored.queue, State.RETRY, limit=3)
    assert broker.run(first) == Swept(3, 3)
    assert broker.run(first.again()) == Swept(3, 3)
    assert len(stored.ids(State.RETRY)) == 2
    assert broker.run(order(stored.queue, State.RETRY, limit=3).again()) == Swept(2, 2)


def test_what_an_order_replied_is_forgotten_within_a_minute(broker: Broker, stored: Stored) -> None:
    """And one that changed nothing leaves nothing behind."""
    for command in (
        run_all(stored.queue, State.RETRY),
        run_tasks(stored.queue, ["none"]),
        resume(stored.queue),
    ):
        broker.run(command)
        assert not stored.raw.exists(command.keys[0])
    stored.put(State.RETRY, "t1")
    for changing in (
        run_all(stored.queue, State.RETRY),
        delete_tasks(stored.queue, ["t1"]),
        pause(stored.queue),
    ):
        broker.run(changing)
        assert 50 < stored.raw.ttl(changing.keys[0]) <= 60


def test_run_puts_a_lost_task_back(broker: Broker, stored: Stored) -> None:
    """A hash without an entry in any list, whatever it says."""
    stored.go_hash("lost1", "active", owner="somebody")
    stored.go_hash("lost2", "pending")
    stored.go_hash("lost3", "scheduled")
    assert broker.run(run_tasks(stored.queue, ["lost1", "lost2", "lost3"])) == [Moved.MOVED] * 3
    assert stored.ids(State.PENDING) == ["lost1", "lost2", "lost3"]
    assert not stored.raw.hexists(stored.keys.task("lost1"), "owner")


@pytest.mark.parametrize("order", [run_tasks, archive_tasks])
def test_a_task_that_is_being_aggregated_is_left_alone(
    broker: Broker, stored: Stored, order: Callable[[str, list[str]], Command[list[Moved]]]
) -> None:
    """Go's aggregator has read the set and will delete it: the task would run twice."""
    stored.put(State.AGGREGATING, "t1")
    key = stored.aggregation_set("g1", "t1")
    assert broker.run(order(stored.queue, ["t1"])) == [Moved.IS_BEING_AGGREGATED]
    assert stored.raw.zrange(key, 0, -1) == [b"t1"]


def test_a_group_stays_listed_while_it_has_tasks(broker: Broker, stored: Stored) -> None:
    stored.put(State.AGGREGATING, "t1")
    stored.put(State.AGGREGATING, "t2")
    broker.run(run_tasks(stored.queue, ["t1"]))
    assert stored.raw.smembers(stored.keys.groups) == {b"g1"}
    broker.run(archive_tasks(stored.queue, ["t2"]))
    assert not stored.raw.exists(stored.keys.groups)


@pytest.mark.parametrize("state", [State.PENDING, *WAITING])
def test_archive_moves_a_task_that_waits(broker: Broker, stored: Stored, state: State) -> None:
    stored.put(state, "t1")
    assert broker.run(archive_tasks(stored.queue, ["t1"])) == [Moved.MOVED]
    assert stored.ids(State.ARCHIVED) == ["t1"]
    assert stored.ids(state) == []
    assert stored.state("t1") == "archived"
    assert stored.raw.zscore(stored.keys.archived, "t1") == pytest.approx(stored.raw.time()[0], abs=5)


def test_archive_refuses_by_state(broker: Broker, stored: Stored) -> None:
    stored.put(State.ACTIVE, "t1")
    stored.put(State.ARCHIVED, "t2")
    stored.put(State.COMPLETED, "t3")
    assert broker.run(archive_tasks(stored.queue, ["t1", "t2", "t3", "none"])) == [
        Moved.IS_ACTIVE,
        Moved.IS_THERE,
        Moved.IS_COMPLETED,
        Moved.NO_SUCH_TASK,
    ]


def test_archive_deletes_what_is_beyond_the_limits(broker: Broker, stored: Stored) -> None:
    """Go's inspector trims the archive and leaves the hashes behind for ever."""
    stored.go_hash("old", "archived")
    stored.raw.zadd(stored.keys.archived, {"old": 1})
    stored.put(State.PENDING, "t1")
    broker.run(archive_tasks(stored.queue, ["t1"]))
    assert stored.ids(State.ARCHIVED) == ["t1"]
    assert stored.is_nowhere("old")


def test_archive_tells_who_waits_for_the_verdict(broker: Broker, stored: Stored) -> None:
    stored.put(State.PENDING, "t1")
    waiter = stored.raw.pubsub()
    waiter.ssubscribe(stored.keys.verdict_channel("t1"))
    assert waiter.get_sharded_message(timeout=5)["type"] == "ssubscribe"
    broker.run(archive_tasks(stored.queue, ["t1"]))
    assert waiter.get_sharded_message(timeout=5)["data"] == b"a"
    waiter.close()


@pytest.mark.parametrize("state", [state for state in State if state is not State.ACTIVE])
def test_delete_leaves_nothing_of_a_task(broker: Broker, stored: Stored, state: State) -> None:
    stored.put(state, "t1")
    assert broker.run(delete_tasks(stored.queue, ["t1", "none"])) == [Moved.MOVED, Moved.NO_SUCH_TASK]
    assert stored.is_nowhere("t1")


def test_delete_refuses_a_running_task(broker: Broker, stored: Stored) -> None:
    stored.put(State.ACTIVE, "t1")
    assert broker.run(delete_tasks(stored.queue, ["t1"])) == [Moved.IS_ACTIVE]
    assert stored.ids(State.ACTIVE) == ["t1"]


def test_delete_takes_a_task_out_of_an_aggregation_set(broker: Broker, stored: Stored) -> None:
    """In Go such a task cannot be deleted: the script fails."""
    for task_id in ("t1", "t2"):
        stored.put(State.AGGREGATING, task_id)
    key = stored.aggregation_set("g1", "t1", "t2")
    assert broker.run(delete_tasks(stored.queue, ["t1"])) == [Moved.MOVED]
    assert stored.raw.zrange(key, 0, -1) == [b"t2"]
    assert broker.run(delete_tasks(stored.queue, ["t2"])) == [Moved.MOVED]
    assert not stored.raw.exists(key, stored.keys.aggregation_sets)


def test_delete_clears_what_is_no_task_any_more(broker: Broker, stored: Stored) -> None:
    """An id without a hash, and the hash without a message that Go's dequeue makes of it."""
    stored.raw.zadd(stored.keys.retry, {"dangling": 1})
    stored.raw.lpush(stored.keys.pending, "dangling2")
    stored.raw.hset(stored.keys.task("stub"), "state", "active")
    stored.raw.lpush(stored.keys.active, "stub")
    stored.raw.zadd(stored.keys.lease, {"stub": stored.raw.time()[0] + 30})
    replies = broker.run(delete_tasks(stored.queue, ["dangling", "dangling2", "stub"]))
    assert replies == [Moved.MOVED] * 3
    assert not stored.raw.exists(
        stored.keys.retry,
        stored.keys.pending,
        stored.keys.active,
        stored.keys.lease,
        stored.keys.task("stub"),
    )


@pytest.mark.parametrize("order", [archive_tasks, delete_tasks])
def test_a_lock_is_released_only_by_its_owner(
    broker: Broker, stored: Stored, order: Callable[[str, list[str]], Command[list[Moved]]]
) -> None:
    lock = unique_key(stored.queue, "shop:pay", PAYLOAD)
    stored.put(State.PENDING, "t1", lock=True)
    stored.put(State.PENDING, "t2", unique_key=lock)
    broker.run(order(stored.queue, ["t2"]))
    assert stored.raw.get(lock) == b"t1"
    broker.run(order(stored.queue, ["t1"]))
    assert not stored.raw.exists(lock)


def test_a_lock_that_only_the_message_names_is_released(broker: Broker, stored: Stored) -> None:
    """Go writes the lock of a grouped task into no field of the hash."""
    lock = unique_key(stored.queue, "shop:pay", PAYLOAD)
    message = stored.message(
        "t1", unique_key=lock, headers={"a": "b"}, deadline=1_893_553_445, group_key="g1"
    )
    stored.raw.hset(
        stored.keys.task("t1"), mapping={"msg": message.encode(), "state": "aggregating", "group": "g1"}
    )
    stored.raw.zadd(stored.keys.group("g1"), {"t1": 1})
    stored.raw.set(lock, "t1")
    broker.run(delete_tasks(stored.queue, ["t1"]))
    assert not stored.raw.exists(lock)


@pytest.mark.parametrize(
    "message", [b"", b"\x52", b"\x52\xff", b"\x52\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\xff" * 50]
)
def test_a_garbled_message_stops_no_delete(broker: Broker, stored: Stored, message: bytes) -> None:
    stored.raw.hset(stored.keys.task("t1"), mapping={"msg": message, "state": "archived"})
    stored.raw.zadd(stored.keys.archived, {"t1": 1})
    assert broker.run(delete_tasks(stored.queue, ["t1"])) == [Moved.MOVED]


def test_a_foreign_key_named_as_a_lock_is_not_deleted(
    broker: Broker, stored: Stored, raw: redis.Redis
) -> None:
    """A message may name any key."""
    raw.set("precious", "t1")
    stored.go_hash("t1", "pending", unique_key="precious")
    raw.lpush(stored.keys.pending, "t1")
    broker.run(delete_tasks(stored.queue, ["t1"]))
    assert raw.get("precious") == b"t1"


def test_ids_may_be_any_bytes(broker: Broker, stored: Stored) -> None:
    stored.go_hash(b"\xff\x00id", "scheduled")
    stored.raw.zadd(stored.keys.scheduled, {b"\xff\x00id": 2**33})
    task_id = b"\xff\x00id".decode("utf-8", "surrogateescape")
    page = broker.run(list_tasks(stored.queue, State.SCHEDULED, 0, 10))
    assert [row.id for row in page.rows] == [task_id]
    assert broker.run(run_tasks(stored.queue, [task_id])) == [Moved.MOVED]
    assert stored.raw.lrange(stored.keys.pending, 0, -1) == [b"\xff\x00id"]


# --- whole states --------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [*WAITING, State.ARCHIVED, State.COMPLETED])
def test_run_all_moves_the_first_of_a_state(broker: Broker, stored: Stored, state: State) -> None:
    for number in range(5):
        stored.put(state, f"t{number}")
    group = "g1" if state is State.AGGREGATING else ""
    first = broker.run(run_all(stored.queue, state, group, limit=3))
    assert (first.taken, first.moved) == (3, 3)
    second = broker.run(run_all(stored.queue, state, group, limit=3))
    assert (second.taken, second.moved) == (2, 2)
    assert sorted(stored.ids(State.PENDING)) == [f"t{number}" for number in range(5)]
    assert not stored.raw.exists(stored.keys.groups)


def test_a_whole_state_leaves_a_running_task_with_who_runs_it(broker: Broker, stored: Stored) -> None:
    """An id may stand in two places: Go's scripts can fail half-way."""
    stored.put(State.ACTIVE, "t1")
    stored.raw.zadd(stored.keys.retry, {"t1": 1, "gone": 2})
    step = broker.run(run_all(stored.queue, State.RETRY))
    assert (step.taken, step.moved) == (2, 0)
    assert stored.state("t1") == "active"
    assert stored.ids(State.PENDING) == []
    assert stored.raw.zrange(stored.keys.orphans, 0, -1) == [b"gone"]


@pytest.mark.parametrize("state", [State.PENDING, *WAITING])
def test_archive_all_takes_the_oldest_first(broker: Broker, stored: Stored, state: State) -> None:
    for number in range(4):
        stored.put(state, f"t{number}")
    group = "g1" if state is State.AGGREGATING else ""
    step = broker.run(archive_all(stored.queue, state, group, limit=3))
    assert (step.taken, step.moved) == (3, 3)
    assert stored.ids(State.ARCHIVED) == ["t0", "t1", "t2"]
    assert stored.ids(state) == ["t3"]


@pytest.mark.parametrize("state", [state for state in State if state is not State.ACTIVE])
def test_delete_all_leaves_nothing(broker: Broker, stored: Stored, state: State) -> None:
    lock = unique_key(stored.queue, "shop:pay", PAYLOAD)
    for number in range(4):
        stored.put(state, f"t{number}")
    stored.raw.hset(stored.keys.task("t0"), "unique_key", lock)
    stored.raw.set(lock, "t0")
    group = "g1" if state is State.AGGREGATING else ""
    step = broker.run(delete_all(stored.queue, state, group))
    assert (step.taken, step.moved) == (4, 4)
    assert all(stored.is_nowhere(f"t{number}") for number in range(4))
    assert not stored.raw.exists(lock, stored.keys.groups)


# --- queues --------------------------------------------------------------------------------------


def test_pause_and_resume_say_whether_they_changed_anything(broker: Broker, stored: Stored) -> None:
    assert broker.run(pause(stored.queue)) is True
    assert broker.run(pause(stored.queue)) is False
    assert int(stored.raw.get(stored.keys.paused)) == pytest.approx(stored.raw.time()[0], abs=5)
    assert broker.run(resume(stored.queue)) is True
    assert broker.run(resume(stored.queue)) is False


def test_counting_an_untouched_queue_gives_zeros(broker: Broker, queue: str) -> None:
    counts = broker.run(count_queue(queue, "2026-11-24"))
    assert not counts.is_trace
    assert set(counts.numbers.values()) == {0}
    assert counts.oldest_since is None


@pytest.mark.broken_keys
def test_latency_looks_past_what_was_handed_back(broker: Broker, stored: Stored) -> None:
    """A task that a worker handed back stands in front, without a time: in Go the latency is then 0."""
    stored.put(State.PENDING, "t1")
    stored.raw.hset(stored.keys.task("t1"), "pending_since", 10**18)
    stored.go_hash("t0", "pending")
    stored.raw.rpush(stored.keys.pending, "t0", "unknown")
    assert broker.run(count_queue(stored.queue, "2026-11-24")).oldest_since == 10**9


def test_counters_that_are_no_numbers_count_as_zero(broker: Broker, stored: Stored) -> None:
    stored.raw.set(stored.keys.processed, "x")
    stored.raw.set(stored.keys.failed, 2**63 - 1)
    counts = broker.run(count_queue(stored.queue, "2026-11-24"))
    assert counts.numbers["processed_total"] == 0
    assert counts.numbers["failed_total"] == 2**63 - 1


def test_a_listing_stops_early_where_messages_are_large(broker: Broker, stored: Stored) -> None:
    for number in range(8):
        stored.put(State.SCHEDULED, f"t{number}", payload=bytes(1024 * 1024))
    page = broker.run(list_tasks(stored.queue, State.SCHEDULED, 0, 8))
    assert page.total == 8
    assert 0 < len(page.rows) < 8


@pytest.mark.broken_keys
def test_a_row_tells_what_is_there(broker: Broker, stored: Stored) -> None:
    stored.put(State.RETRY, "t1")
    row = broker.run(read_row(stored.queue, "t1")).rows[0]
    assert (row.exists, row.state, row.owner) == (True, "retry", "")
    assert row.score == pytest.approx(stored.raw.time()[0] + 600, abs=5)
    assert not broker.run(read_row(stored.queue, "none")).rows[0].exists
    stored.raw.set(stored.keys.task("text"), "not a hash")
    odd = broker.run(read_row(stored.queue, "text")).rows[0]
    assert (odd.exists, odd.message, odd.state) == (True, None, "")


@pytest.mark.broken_keys
def test_many_groups_are_listed_page_by_page(broker: Broker, stored: Stored) -> None:
    names = {f"group-{number}" for number in range(900)}
    for name in names:
        stored.raw.zadd(stored.keys.group(name), {"a": 1, "b": 2})
    stored.raw.sadd(stored.keys.groups, *names)
    found, cursor, calls = {}, "0", 0
    while calls == 0 or cursor != "0":
        page = broker.run(list_groups(stored.queue, cursor))
        found.update(page.sizes)
        cursor = page.cursor
        calls += 1
        assert len(page.sizes) < 600
    assert calls > 1
    assert found == dict.fromkeys(names, 2)


def test_removal_is_refused_while_tasks_run(broker: Broker, stored: Stored) -> None:
    stored.put(State.ACTIVE, "t1")
    for force in (False, True):
        step = broker.run(remove_step(stored.queue, force=force))
        assert (step.outcome, step.paused_now) == (Emptied.RUNS_TASKS, False)
    assert not stored.raw.exists(stored.keys.paused)


def test_removal_without_force_only_looks(broker: Broker, stored: Stored) -> None:
    for state in (state for state in State if state is not State.ACTIVE):
        stored.put(state, "t1")
        assert broker.run(remove_step(stored.queue, force=False)).outcome is Emptied.HOLDS_TASKS
        broker.run(delete_tasks(stored.queue, ["t1"]))
    assert broker.run(remove_step(stored.queue, force=False)).outcome is Emptied.GO_ON


def test_leftover_keys_are_not_deleted_once_the_queue_has_tasks_again(broker: Broker, stored: Stored) -> None:
    stored.raw.set(stored.keys.processed, 5)
    stored.put(State.PENDING, "t1")
    leftovers = [stored.keys.processed.encode(), stored.keys.task("t1").encode()]
    assert broker.run(remove_keys(stored.queue, leftovers)) == -1
    assert stored.state("t1") == "pending"
    broker.run(delete_tasks(stored.queue, ["t1"]))
    assert broker.run(remove_keys(stored.queue, leftovers)) == 1


def test_every_order_is_quick_on_a_large_queue(broker: Broker, raw: redis.Redis, queue: str) -> None:
    """A script is bounded, however much the queue holds (the limit is generous: the machine is shared)."""
    keys = queue_keys(queue)
    stored = Stored(broker, raw, queue)
    pipe = raw.pipeline(transaction=False)
    for number in range(20_000):
        pipe.hset(
            keys.task(f"t{number}"), mapping={"msg": stored.message(f"t{number}").encode(), "state": "retry"}
        )
        pipe.zadd(keys.retry, {f"t{number}": number})
    pipe.execute()
    raw.slowlog_reset()
    raw.config_set("slowlog-log-slower-than", 100_000)
    try:
        broker.run(count_queue(queue, "2026-11-24"))
        broker.run(list_tasks(queue, State.RETRY, 10_000, 200))
        broker.run(run_all(queue, State.RETRY))
        broker.run(archive_all(queue, State.RETRY))
        broker.run(delete_all(queue, State.RETRY))
        broker.run(remove_step(queue, force=True))
        assert raw.slowlog_len() == 0, raw.slowlog_get(5)
    finally:
        raw.config_set("slowlog-log-slower-than", 10_000)

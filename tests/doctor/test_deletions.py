"""Every single key and field of a task in every state is deleted, and the queue becomes consistent again."""

from __future__ import annotations

import uuid

import pytest
import redis

from taskflow.broker.commands.dequeue import dequeue
from taskflow.broker.commands.enqueue import NewTask, enqueue
from taskflow.broker.commands.finish import Written, finish
from taskflow.broker.commands.maintenance import forward
from taskflow.broker.sync import Broker
from taskflow.broker.walk import FirstLooks
from taskflow.message.task_message import unique_key
from taskflow.states import State, Verb
from taskflow.testing.keyspace import check_queue
from tests.commands.test_sweep import Sweep
from tests.inspector.ask import examine
from tests.inspector.stored import OWNER, PAYLOAD, Stored
from tests.taking import ended

FIELDS = {
    State.PENDING: ("msg", "state", "pending_since", "unique_key"),
    State.ACTIVE: ("msg", "state", "pending_since", "owner", "receipt", "unique_key"),
    State.SCHEDULED: ("msg", "state", "unique_key"),
    State.RETRY: ("msg", "state", "unique_key", "first_failed_at"),
    State.ARCHIVED: ("msg", "state", "unique_key"),
    State.COMPLETED: ("msg", "state", "unique_key", "result"),
    State.AGGREGATING: ("msg", "state", "unique_key", "group"),
}
TASK, LOCK = "the task", "its lock"
KEYS = {
    State.PENDING: ("pending",),
    State.ACTIVE: ("active", "lease", "taken"),
    State.SCHEDULED: ("scheduled", "due"),
    State.RETRY: ("retry", "due", "taken", "processed", "failed"),
    State.ARCHIVED: ("archived", "taken", "processed", "failed"),
    State.COMPLETED: ("completed", "taken", "processed"),
    State.AGGREGATING: ("g:g1", "groups"),
}
NEEDS_A_SCAN = {"pending", "scheduled", "retry", "archived", "completed", "g:g1", "groups"}
"""What a sweep cannot see: nothing is left where the tasks stood. The doctor does."""

CASES = [
    *((state, "field", name) for state, names in FIELDS.items() for name in names),
    *((state, "key", name) for state, names in KEYS.items() for name in (*names, TASK, LOCK)),
]


def put(stored: Stored, state: State, task_id: str) -> None:
    """A task with a lock of its own, in a state."""
    payload = PAYLOAD + task_id.encode()
    lock = unique_key(stored.queue, "shop:pay", payload)
    group = {"group_key": "g1"} if state is State.AGGREGATING else {}
    message = stored.message(task_id, payload=payload, unique_key=lock, **group)
    delay = 600 if state is State.SCHEDULED else None
    stored.broker.run(enqueue(stored.queue, [NewTask(message, delay=delay, lock_seconds=600)]))
    if state in (State.PENDING, State.SCHEDULED, State.AGGREGATING):
        return
    (taken,) = stored.broker.run(dequeue(stored.queue, OWNER, uuid.uuid4().hex, 1)).tasks
    verbs = {State.RETRY: Verb.RETRY, State.ARCHIVED: Verb.ARCHIVE, State.COMPLETED: Verb.COMPLETE}
    if state in verbs:
        result = b"1" if state is State.COMPLETED else b""
        item = ended(taken, verbs[state], message=taken.message, delay=600, result=result, lock=lock)
        assert stored.broker.run(finish(stored.queue, [item], stored.raw.time()[0])) == [Written.WRITTEN]


def names_of(stored: Stored, thing: str) -> list[str]:
    """The keys that a word of the table stands for."""
    keys = stored.keys
    if thing == TASK:
        return [keys.task("t1")]
    if thing == LOCK:
        return [unique_key(stored.queue, "shop:pay", PAYLOAD + b"t1")]
    if thing == "taken":
        return [keys.taken_by(OWNER)]
    return [
        key.decode() for key in stored.all_keys() if key.decode().split("}:", 1)[1].split(":20")[0] == thing
    ]


@pytest.mark.parametrize("state", list(State))
def test_the_table_names_every_key_and_field(stored: Stored, state: State) -> None:
    put(stored, state, "t1")
    fields = {name.decode() for name in stored.raw.hkeys(stored.keys.task("t1"))}
    assert fields == set(FIELDS[state])
    known = {name for thing in (*KEYS[state], TASK, LOCK) for name in names_of(stored, thing)}
    assert {key.decode() for key in stored.all_keys()} <= known


@pytest.mark.parametrize(("state", "kind", "thing"), CASES, ids=lambda value: str(value).replace(" ", "-"))
def test_the_queue_becomes_consistent_and_a_worker_works(
    stored: Stored, swept: Sweep, broker: Broker, raw: redis.Redis, state: State, kind: str, thing: str
) -> None:
    for task_id in ("t1", "t2"):
        put(stored, state, task_id)
    if kind == "field":
        raw.hdel(stored.keys.task("t1"), thing)
    else:
        raw.delete(*names_of(stored, thing))

    looks = FirstLooks()
    swept.sweep(looks)
    swept.sweep(looks, later=6)
    left = check_queue(broker, stored.queue)
    if thing in NEEDS_A_SCAN and kind == "key":
        assert left
    else:
        # The lock of a task of which nothing is left but its id; it ends by itself, and the doctor releases it.
        assert [line for line in left if not line.startswith("lock ")] == []
    diagnosis = examine(broker, [stored.queue], fix=True)
    assert [one for one in diagnosis.findings if one.where.startswith("queue")] == []
    assert check_queue(broker, stored.queue) == []

    ids = {name.decode().rpartition(":")[2] for name in raw.keys(stored.keys.task_prefix + "*")}
    orphans = {one.decode() for one in raw.zrange(stored.keys.orphans, 0, -1)}
    gone = {"t1"} if (kind, thing) in (("field", "msg"), ("key", TASK)) else set()
    assert (ids, orphans) == ({"t1", "t2"} - gone, gone), "nothing has disappeared"
    assert works(stored, broker) >= {"new"}
    assert check_queue(broker, stored.queue) == []


def works(stored: Stored, broker: Broker) -> set[str]:
    """What a worker takes and finishes now."""
    stored.pending("new")
    broker.run(forward(stored.queue))
    done = set()
    while tasks := broker.run(dequeue(stored.queue, "another", uuid.uuid4().hex, 10)).tasks:
        for taken in tasks:
            lock = unique_key(stored.queue, "shop:pay", PAYLOAD + taken.id.encode())
            item = ended(taken, Verb.DONE, lock=lock)
            assert broker.run(finish(stored.queue, [item], stored.raw.time()[0])) == [Written.WRITTEN]
            done.add(taken.id)
    return done

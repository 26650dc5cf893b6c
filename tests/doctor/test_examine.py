"""The examination on a real server: everything that can be wrong with queues is found, put right, and then gone."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import redis

from taskflow.broker.acl import role
from taskflow.broker.commands.dequeue import dequeue
from taskflow.broker.commands.enqueue import NewTask, enqueue
from taskflow.broker.commands.finish import finish
from taskflow.broker.sync import Broker
from taskflow.connection.sync import SyncDriver
from taskflow.errors import BrokerUnavailable, QueueNotFound
from taskflow.inspector.doctor import Diagnosis, Finding, nodes
from taskflow.inspector.doctor.reading import Keyspace, sort_key
from taskflow.states import State, Verb
from taskflow.testing.keyspace import check_queue
from tests.inspector.ask import examine
from tests.inspector.stored import Stored
from tests.servers import Server, free_port
from tests.taking import ended

UUID = "5b1e1c1e-8a52-4b0a-9d59-0a5a3ce7b9d4"


def of_queue(diagnosis: Diagnosis) -> dict[str, Finding]:
    """The findings about queues, by their code."""
    return {one.code: one for one in diagnosis.findings if one.where.startswith("queue")}


def without_lease(s: Stored) -> None:
    s.put(State.ACTIVE, "mine")
    s.put(State.ACTIVE, "gos")
    s.raw.zrem(s.keys.lease, "mine", "gos")
    s.raw.hdel(s.keys.task("gos"), "owner", "receipt")


def without_task(s: Stored) -> None:
    s.put(State.RETRY, "t")
    s.raw.delete(s.keys.task("t"))


def gos_stub(s: Stored) -> None:
    s.raw.hset(s.keys.task("t"), "state", "active")
    s.raw.lpush(s.keys.active, "t")
    s.raw.zadd(s.keys.lease, {"t": 5})


def bare_result(s: Stored) -> None:
    s.raw.hset(s.keys.task("t"), "result", "1")


def without_id(s: Stored) -> None:
    for state in State:
        s.put(state, state.value)
    for state in State:
        s.raw.delete(s.keys.state(state.value))
    s.raw.delete(s.keys.lease, s.keys.group("g1"), s.keys.groups)


def without_active(s: Stored) -> None:
    s.put(State.ACTIVE, "t")
    s.raw.delete(s.keys.active)


def in_two_places(s: Stored) -> None:
    s.put(State.PENDING, "t")
    s.raw.zadd(s.keys.archived, {"t": 2**33})


def twice_in_a_list(s: Stored) -> None:
    s.put(State.RETRY, "t")
    s.raw.lpush(s.keys.pending, "t")


def unlisted_group(s: Stored) -> None:
    s.put(State.AGGREGATING, "t")
    s.raw.delete(s.keys.groups)


def unregistered_set(s: Stored) -> None:
    s.put(State.AGGREGATING, "t")
    s.aggregation_set("g1", "t")
    s.raw.delete(s.keys.aggregation_sets)


def stale_set(s: Stored) -> None:
    s.put(State.AGGREGATING, "t")
    key = s.aggregation_set("g1", "t")
    s.raw.zadd(s.keys.aggregation_sets, {key: 5})


def empty_group(s: Stored) -> None:
    s.raw.sadd(s.keys.groups, "nobody")


def dangling_lock(s: Stored) -> None:
    s.raw.set(s.keys.unique_prefix + "x:1", "nobody", ex=60)


def lease_over(s: Stored) -> None:
    s.put(State.ACTIVE, "t")
    s.raw.zadd(s.keys.lease, {"t": int(time.time()) - 300})


def endless_note(s: Stored) -> None:
    s.put(State.ACTIVE, "t")
    for key in s.raw.keys(s.keys.taken_by("*")):
        s.raw.persist(key)


CASES: list[tuple[Callable[[Stored], None], set[str]]] = [
    (without_lease, {"active-without-lease"}),
    (without_task, {"id-without-task"}),
    (gos_stub, {"id-without-task", "lease-ended"}),
    (bare_result, {"id-without-task"}),
    (without_id, {"task-without-id"}),
    (without_active, {"lease-without-active"}),
    (in_two_places, {"wrong-place"}),
    (twice_in_a_list, {"wrong-place"}),
    (unlisted_group, {"unlisted-group"}),
    (unregistered_set, {"unlisted-group"}),
    (stale_set, {"stale-set"}),
    (empty_group, {"empty-group"}),
    (dangling_lock, {"dangling-lock"}),
    (lease_over, {"lease-ended"}),
    (endless_note, {"endless-key"}),
]


@pytest.mark.parametrize(("spoil", "expected"), CASES, ids=[case[0].__name__ for case in CASES])
def test_what_is_wrong_is_found_and_put_right(
    stored: Stored, broker: Broker, spoil: Callable[[Stored], None], expected: set[str]
) -> None:
    stored.put(State.SCHEDULED, "sound")
    spoil(stored)
    found = of_queue(examine(broker, [stored.queue]))
    assert found.keys() == expected
    before = {key: stored.raw.dump(key) for key in stored.all_keys()}
    examine(broker, [stored.queue])
    assert {key: stored.raw.dump(key) for key in stored.all_keys()} == before, "it changes nothing unasked"

    diagnosis = examine(broker, [stored.queue], fix=True)
    assert of_queue(diagnosis) == {}
    assert diagnosis.fixes
    again = examine(broker, [stored.queue], fix=True)
    assert (of_queue(again), again.fixes) == ({}, ())
    assert check_queue(broker, stored.queue) == []
    assert stored.state("sound") == ("pending" if spoil is without_id else "scheduled")


def test_a_completed_task_is_kept_as_long_as_it_was_to_be(stored: Stored, broker: Broker) -> None:
    stored.put(State.COMPLETED, "t")
    before = stored.raw.zscore(stored.keys.completed, "t")
    stored.raw.delete(stored.keys.completed)
    examine(broker, [stored.queue], fix=True)
    assert abs(stored.raw.zscore(stored.keys.completed, "t") - before) <= 1


def test_an_unregistered_set_goes_back_to_its_group_and_a_group_named_like_one_stays(
    stored: Stored, broker: Broker
) -> None:
    stored.put(State.AGGREGATING, "t")
    stored.aggregation_set("g1", "t")
    stored.aggregating("odd", group=f"g1:{UUID}")
    stored.raw.delete(stored.keys.aggregation_sets, stored.keys.groups)
    examine(broker, [stored.queue], fix=True)
    assert stored.raw.smembers(stored.keys.groups) == {b"g1", f"g1:{UUID}".encode()}
    assert stored.ids(State.AGGREGATING) == ["t"]
    assert stored.ids(State.AGGREGATING, f"g1:{UUID}") == ["odd"]
    assert check_queue(broker, stored.queue) == []


@pytest.mark.broken_keys
def test_what_somebody_else_wrote_is_named_and_left_alone(stored: Stored, broker: Broker) -> None:
    stored.put(State.PENDING, "sound")
    stored.raw.set(stored.keys.retry, "x")
    stored.raw.set(stored.keys.task("strange"), "x")
    stored.raw.set(stored.keys.own + "of-the-future", "x")
    diagnosis = examine(broker, [stored.queue], fix=True)
    found = of_queue(diagnosis)
    assert found.keys() == {"wrong-type", "not-a-task", "endless-key"}
    assert not any(one.is_fixable for one in found.values())
    assert diagnosis.fixes == ()
    assert stored.raw.get(stored.keys.retry) == stored.raw.get(stored.keys.task("strange")) == b"x"


def test_the_index_and_the_records(own_server: Server) -> None:
    raw, broker = redis.Redis(port=own_server.port), Broker(SyncDriver(own_server.url))
    stored = Stored(broker, raw, "mail", listed=False)
    stored.served()
    stored.put(State.PENDING, "t")
    raw.set("asynq:servers:{h:1:a}", "x")
    raw.set("asynq:workers:{h:1:a}", "x", ex=10)
    found = {one.code: one for one in examine(broker).findings}
    assert found.keys() == {"unlisted-queue", "endless-record"}
    assert found["unlisted-queue"].examples == ("mail",)
    diagnosis = examine(broker, fix=True)
    assert diagnosis.findings == ()
    assert raw.smembers("asynq:queues") == {b"mail"}
    assert 0 < raw.ttl("asynq:servers:{h:1:a}") <= 60
    assert diagnosis.queues == ("mail",)
    broker.close()
    raw.close()


def test_a_go_queue_in_order_has_no_findings(stored: Stored, broker: Broker) -> None:
    """As Go writes: no owner, no notes of ours, a lock kept by an archived task, times of its own."""
    stored.go_hash("p", "pending", pending_since=5)
    stored.raw.lpush(stored.keys.pending, "p")
    stored.go_hash("a", "active")
    stored.raw.lpush(stored.keys.active, "a")
    stored.raw.zadd(stored.keys.lease, {"a": int(time.time()) + 20})
    lock = stored.keys.unique_prefix + "shop:pay:x"
    stored.go_hash("x", "archived", unique_key=lock)
    stored.raw.set(lock, "x", ex=60)
    stored.raw.zadd(stored.keys.archived, {"x": int(time.time())})
    stored.go_hash("g", "aggregating", group="mail")
    stored.raw.zadd(stored.keys.group("mail"), {"g": int(time.time())})
    stored.raw.sadd(stored.keys.groups, "mail")
    assert of_queue(examine(broker, [stored.queue])) == {}
    assert check_queue(broker, stored.queue) == []


def test_a_queue_at_work_has_no_findings(stored: Stored, broker: Broker, valkey: Server) -> None:
    """Reading is not atomic; what is reported is."""
    stop = threading.Event()

    def work(number: int) -> None:
        own = Broker(SyncDriver(valkey.url))
        owner = f"w{number}"
        while not stop.is_set():
            tasks = [NewTask(stored.message(str(uuid.uuid4())), delay=one % 3) for one in range(20)]
            own.run(enqueue(stored.queue, tasks))
            taken = own.run(dequeue(stored.queue, owner, uuid.uuid4().hex, 10)).tasks
            verdicts = [
                ended(one, verb, message=one.message, delay=60)
                for one, verb in zip(
                    taken, [Verb.RETRY, Verb.ARCHIVE, Verb.COMPLETE, Verb.SNOOZE] * 5, strict=False
                )
            ]
            own.run(finish(stored.queue, verdicts, time.time()))
        own.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(8):
            assert of_queue(examine(broker, [stored.queue])) == {}
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert check_queue(broker, stored.queue) == []


def test_nobody_there(queue: str, broker: Broker) -> None:
    with pytest.raises(QueueNotFound):
        examine(broker, [queue])
    away = Broker(SyncDriver(f"redis://127.0.0.1:{free_port()}"))
    with pytest.raises(BrokerUnavailable):
        examine(away)


def test_names_of_queues_may_hold_braces() -> None:
    found = Keyspace()
    for key in (
        "asynq:{a}b}:pending",
        "asynq:{a}b}:t:x",
        "asynq:{plain}:t:y}:z",
        "taskflow:{plain}:orphans",
        "other",
    ):
        sort_key(found, key, {"a}b"})
    sort_key(found, "asynq:servers:{h:1:x}", set())
    assert found.queues["a}b"].tasks == ["x"]
    assert found.queues["plain"].tasks == ["y}:z"]
    assert found.queues["plain"].own == ["taskflow:{plain}:orphans"]
    assert found.records == ["asynq:servers:{h:1:x}"]
    assert found.queues.keys() == {"a}b", "plain"}


@pytest.fixture
def viewer(own_server: Server) -> str:
    """The URL of a user that has the viewer's rights and no more: no CONFIG, no writing."""
    raw = redis.Redis(port=own_server.port)
    raw.execute_command("ACL", "SETUSER", "taskflow-viewer", "reset", "on", ">pw", *role("viewer").rules())
    raw.close()
    return f"redis://taskflow-viewer:pw@127.0.0.1:{own_server.port}"


def test_a_viewer_may_look(own_server: Server, viewer: str) -> None:
    raw = redis.Redis(port=own_server.port)
    full = Broker(SyncDriver(own_server.url))
    stored = Stored(full, raw, "mail")
    stored.served()
    stored.put(State.PENDING, "sound", lock=True)
    for spoil in (without_lease, dangling_lock, stale_set):
        spoil(stored)
    broker = Broker(SyncDriver(viewer))
    found = examine(broker)
    assert {one.code for one in found.findings} == {"active-without-lease", "dangling-lock", "stale-set"}
    raw.config_set("maxmemory", 10**9)
    raw.config_set("maxmemory-policy", "volatile-lru")
    raw.config_set("appendonly", "no")
    found = examine(broker)
    assert {"eviction", "persistence-unknown"} <= {one.code for one in found.findings}
    for one in (broker, full):
        one.close()
    raw.close()


def test_a_clock_that_is_off_is_measured(own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "time", SimpleNamespace(time=lambda: time.time() + 5))
    broker = Broker(SyncDriver(own_server.url))
    (finding,) = examine(broker).findings
    assert finding.code == "clock-skew"
    assert "its clock is 5.0 s behind this host's" in finding.what
    broker.close()

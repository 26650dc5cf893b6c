"""What is broken in a queue, and what a sweep makes of it: on one server and the cluster, by both drivers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskflow.broker.commands.dequeue import extend, held
from taskflow.broker.commands.enqueue import NewTask, enqueue
from taskflow.broker.commands.finish import Written, finish
from taskflow.broker.commands.maintenance import ORPHAN_SECONDS, expire, forward, recover
from taskflow.broker.commands.repairs import Repair, Repaired, RepairItem
from taskflow.broker.commands.sweep import NOWHERE, Reclaimed, Source, reclaim, release_locks, repair, survey
from taskflow.broker.sync import Broker
from taskflow.broker.walk import FirstLooks, Walk
from taskflow.connection.sync import SyncDriver
from taskflow.message.task_message import unique_key
from taskflow.states import Verb
from taskflow.testing.keyspace import check_queue
from tests.commands.test_transitions import Queue
from tests.taking import ended

Run = Callable[[Any], Any]

LISTS = ("pending", "active")
SETS = ("scheduled", "retry", "archived", "completed")


class Sweep(Queue):
    """A queue, put into every state, and swept."""

    def put(self, state: str, task_id: str = "a") -> None:
        """A task in a state, made by the commands of clients and workers."""
        if state == "scheduled":
            self.run(enqueue(self.name, [NewTask(self.message(task_id), delay=500)]))
        elif state == "aggregating":
            self.run(enqueue(self.name, [NewTask(self.message(task_id, group_key="g"))]))
        else:
            self.add(task_id, retention=60)
            if state == "pending":
                return
            (taken,) = self.take(1, token=task_id)
            verbs = {"retry": Verb.RETRY, "archived": Verb.ARCHIVE, "completed": Verb.COMPLETE}
            if state in verbs:
                self.finish(verbs[state], taken, message=taken.message, delay=600)

    def key(self, state: str) -> str:
        return self.keys.group("g") if state == "aggregating" else self.keys.state(state)

    def sweep(self, looks: FirstLooks | None = None, *, later: float = 0.0) -> list[Repaired]:
        """One round through everything, as the sweeper of a worker makes it; what was not fine."""
        walk, looks, done = Walk(self.name), looks or FirstLooks(), []
        while not walk.rounds:
            found = self.run(walk.look())
            walk.take(found)
            now = time.monotonic() + later
            for repaired in self.repair(looks.items(found.doubtful, now)):
                looks.note(repaired, now)
                walk.note(repaired)
                done.append(repaired)
            if found.stale_sets or found.empty_groups:
                while self.run(reclaim(self.name, found.empty_groups)):
                    pass
        return [one for one in done if one.repair is not Repair.FINE]

    def repair(self, items: list[RepairItem], *, dry: bool = False) -> list[Repaired]:
        done: list[Repaired] = []
        while len(done) < len(items):
            done += self.run(repair(self.name, items[len(done) :], dry=dry))
        return done

    def repair_of(self, task_id: str = "a", where: str = NOWHERE, **fields: Any) -> Repair:
        (repaired,) = self.repair([RepairItem(task_id, where, **fields)])
        return repaired.repair

    def ids(self, state: str) -> list[str]:
        words = ("LRANGE" if state in LISTS else "ZRANGE", self.key(state), 0, -1)
        return [one.decode() for one in self.call(*words)]

    def orphans(self) -> list[str]:
        return [one.decode() for one in self.call("ZRANGE", self.keys.orphans, 0, -1)]


@pytest.fixture
def q(run: Run, queue: str) -> Sweep:
    return Sweep(run, queue)


@pytest.fixture
def check(request: pytest.FixtureRequest, q: Sweep) -> Iterator[Callable[[], list[str]]]:
    """What is wrong with the queue, by the independent check."""
    place, _ = request.node.callspec.params["run"]
    broker = Broker(SyncDriver(request.getfixturevalue("valkey" if place == "single" else "cluster").url))
    yield lambda: check_queue(broker, q.name)
    broker.close()


EVERYWHERE = (*LISTS, *SETS, "aggregating")


@pytest.mark.parametrize("state", EVERYWHERE)
def test_a_sound_task_is_left_alone(q: Sweep, check: Any, state: str) -> None:
    q.put(state)
    before = q.hash("a")
    assert check() == []
    sources = [] if state == "active" else [Source(state, 0, "g" if state == "aggregating" else "")]
    found = q.run(survey(q.name, sources, cursor="0"))
    assert (found.doubtful, found.stale_sets, found.broken) == ([], 0, [])
    for where in (NOWHERE, q.key(state) if state == "aggregating" else state):
        assert q.repair_of(where=where) is Repair.FINE
    assert q.hash("a") == before
    assert check() == []


@pytest.mark.parametrize("state", EVERYWHERE)
@pytest.mark.parametrize("kind", ["no hash", "no message", "a string"])
def test_an_id_without_a_task_is_kept_among_the_orphans(q: Sweep, check: Any, state: str, kind: str) -> None:
    q.put(state)
    q.put(state, "sound")
    if kind == "no message":
        q.call("HDEL", q.keys.task("a"), "msg")
    else:
        q.call("DEL", q.keys.task("a"))
    if kind == "a string":
        q.call("SET", q.keys.task("a"), "somebody else's")
    assert check() != []
    (repaired,) = q.sweep()
    assert (repaired.item.id, repaired.repair) == ("a", Repair.ORPHANED)
    assert q.ids(state) == ["sound"]
    assert q.orphans() == ["a"]
    assert q.call("ZSCORE", q.keys.lease, "a") is None
    if kind == "a string":
        assert q.call("GET", q.keys.task("a")) == b"somebody else's"
    else:
        assert check() == []
    assert q.sweep() == []


@pytest.mark.parametrize("state", EVERYWHERE)
@pytest.mark.parametrize("said", [None, "nonsense", "retry", "active"])
def test_a_state_without_its_place_gives_way_to_the_place(
    q: Sweep, check: Any, state: str, said: str | None
) -> None:
    """Go's archive, failing half-way, leaves a task in archived that says it is active."""
    q.put(state)
    if said is None:
        q.call("HDEL", q.keys.task("a"), "state")
    else:
        q.call("HSET", q.keys.task("a"), "state", said)
    wrong = said != state
    assert bool(check()) == wrong
    assert [one.repair for one in q.sweep()] == [Repair.MENDED] * wrong
    assert q.hash("a")[b"state"].decode() == state
    assert check() == []


@pytest.mark.parametrize("state", ["pending", *SETS])
@pytest.mark.parametrize("extra", ["pending", *SETS])
def test_a_state_with_its_place_wins_over_other_places(q: Sweep, check: Any, state: str, extra: str) -> None:
    if state == extra:
        return
    q.put(state)
    words = ("LPUSH", q.key(extra), "a") if extra == "pending" else ("ZADD", q.key(extra), 2**33, "a")
    q.call(*words)
    assert check() != []
    q.sweep()
    assert q.ids(state) == ["a"]
    assert q.ids(extra) == []
    assert check() == []


def test_what_runs_stays_with_who_runs_it(q: Sweep, check: Any) -> None:
    q.put("active")
    q.call("LPUSH", q.keys.pending, "a")
    q.call("ZADD", q.keys.retry, 2**33, "a")
    q.sweep()
    assert q.ids("active") == ["a"]
    assert q.hash("a")[b"owner"] == b"me"
    assert check() == []


def test_an_active_task_without_a_lease_is_first_offered_to_its_owner(q: Sweep, check: Any) -> None:
    """A worker of ours that lives extends the lease again; one that does not loses the task in seconds."""
    q.put("active")
    q.call("ZREM", q.keys.lease, "a")
    assert "active-without-lease" in check()[0]
    assert [one.repair for one in q.sweep()] == [Repair.LEASED]
    assert 5 <= float(q.call("ZSCORE", q.keys.lease, "a")) - time.time() <= 10
    assert q.hash("a")[b"owner"] == b"me"
    assert check() == []


def test_an_active_task_without_lease_and_owner_goes_back_at_the_second_look(q: Sweep, check: Any) -> None:
    """What Go's dequeue leaves when it fails half-way (hibiken/asynq PR #1158)."""
    q.put("active")
    q.add("waiting")
    q.call("ZREM", q.keys.lease, "a")
    q.call("HDEL", q.keys.task("a"), "owner")
    looks = FirstLooks()
    assert [one.repair for one in q.sweep(looks)] == [Repair.UNLEASED]
    assert [one.repair for one in q.sweep(looks, later=2)] == [Repair.UNLEASED]
    assert q.ids("active") == ["a"]
    assert [one.repair for one in q.sweep(looks, later=6)] == [Repair.GIVEN_BACK]
    assert q.ids("pending") == ["waiting", "a"], "it is the next to run"
    fields = q.hash("a")
    assert (fields[b"state"], fields[b"recoveries"]) == (b"pending", b"1")
    assert check() == []
    assert not looks._seen


def test_a_second_look_at_another_message_is_a_first_one(q: Sweep) -> None:
    q.put("active")
    q.call("ZREM", q.keys.lease, "a")
    q.call("HDEL", q.keys.task("a"), "owner")
    looks = FirstLooks()
    q.sweep(looks)
    q.call("HSET", q.keys.task("a"), "msg", q.message("a", retried=3).encode())
    assert [one.repair for one in q.sweep(looks, later=6)] == [Repair.UNLEASED]
    assert [one.repair for one in q.sweep(looks, later=11)] == [Repair.GIVEN_BACK]


def test_a_dequeue_that_stopped_before_the_state_goes_back_too(q: Sweep, check: Any) -> None:
    q.put("pending")
    q.call("LMOVE", q.keys.pending, q.keys.active, "RIGHT", "LEFT")
    looks = FirstLooks()
    q.sweep(looks)
    q.sweep(looks, later=6)
    assert q.state("a") == "pending"
    assert check() == []


def test_a_lease_without_a_place_in_active_is_entered_there_again(q: Sweep, check: Any) -> None:
    """Who holds it may live: it must not run a second time."""
    q.put("active")
    q.call("DEL", q.keys.active)
    assert "lease-without-active" in check()[0]
    assert [one.repair for one in q.sweep()] == [Repair.LISTED]
    assert q.ids("active") == ["a"]
    assert check() == []


def test_a_lease_of_a_task_that_waits_is_dropped(q: Sweep, check: Any) -> None:
    q.put("scheduled")
    q.call("ZADD", q.keys.lease, 2**33, "a")
    assert [one.repair for one in q.sweep()] == [Repair.MENDED]
    assert q.state("a") == "scheduled"
    assert check() == []


def test_a_group_that_is_not_the_tasks_own_wins_where_the_own_does_not_have_it(q: Sweep, check: Any) -> None:
    q.put("aggregating")
    q.call("HDEL", q.keys.task("a"), "group")
    assert [one.repair for one in q.sweep()] == [Repair.MENDED]
    assert q.hash("a")[b"group"] == b"g"
    assert check() == []


@pytest.mark.parametrize("state", EVERYWHERE)
def test_a_task_that_stands_nowhere_is_put_back(q: Sweep, check: Any, state: str) -> None:
    q.put(state)
    for key in (q.key(state), q.keys.lease, q.keys.groups):
        q.call("DEL", key)
    assert "task-without-id" in check()[0]
    assert q.sweep() == [], "a sweep cannot see it: there is nothing where it stands"
    expires_at = int(time.time()) + 77
    (dry,) = q.repair([RepairItem("a", NOWHERE, expires_at=expires_at)], dry=True)
    assert dry.repair is Repair.RESTORED
    assert "task-without-id" in check()[0]
    assert q.repair_of(expires_at=expires_at) is Repair.RESTORED
    kept = state if state in ("archived", "completed", "aggregating") else "pending"
    assert q.ids(kept) == ["a"]
    if state == "completed":
        assert float(q.call("ZSCORE", q.keys.completed, "a")) == expires_at
    assert check() == []
    assert q.repair_of() is Repair.FINE


def test_a_bad_id_does_not_stop_the_others(q: Sweep, check: Any) -> None:
    for number in range(250):
        q.put("scheduled", f"t{number}")
    for number in range(0, 250, 10):
        q.call("DEL", q.keys.task(f"t{number}"))
        q.call("SET", q.keys.task(f"t{number}"), "x")
    assert len(q.sweep()) == 25
    assert len(q.ids("scheduled")) == 225


def test_a_key_of_a_wrong_type_is_named_and_stops_nothing(q: Sweep) -> None:
    q.put("retry")
    q.call("HDEL", q.keys.task("a"), "state")
    q.call("SET", q.keys.scheduled, "x")
    q.call("SET", q.keys.groups, "x")
    found = q.run(survey(q.name, [Source(place) for place in ("scheduled", "retry")], cursor="0"))
    assert sorted(found.broken) == sorted([q.keys.scheduled, q.keys.groups])
    assert [one.repair for one in q.sweep()] == [Repair.MENDED]


def test_a_task_whose_place_cannot_be_written_loses_nothing(q: Sweep) -> None:
    """Writes go to the destination first."""
    q.put("active")
    q.call("ZREM", q.keys.lease, "a")
    q.call("HDEL", q.keys.task("a"), "owner")
    q.call("SET", q.keys.pending, "x")
    looks = FirstLooks()
    q.sweep(looks)
    (repaired,) = q.sweep(looks, later=6)
    assert repaired.repair is Repair.FAILED
    assert "WRONGTYPE" in repaired.detail
    assert q.ids("active") == ["a"]


# --- groups ------------------------------------------------------------------------------------------------


def aggregation_set(q: Sweep, *ids: str, score: float) -> str:
    """As Go's check moves tasks of a group into a set."""
    key = q.keys.group("g") + ":5b1e1c1e-8a52-4b0a-9d59-0a5a3ce7b9d4"
    for task_id in ids:
        q.call("ZADD", key, q.call("ZSCORE", q.keys.group("g"), task_id), task_id)
        q.call("ZREM", q.keys.group("g"), task_id)
    q.call("ZADD", q.keys.aggregation_sets, score, key)
    if not q.call("EXISTS", q.keys.group("g")):
        q.call("SREM", q.keys.groups, "g")
    return key


def test_a_stale_set_goes_back_to_its_group_which_is_listed_again(q: Sweep, check: Any) -> None:
    for task_id in ("a", "b", "gone"):
        q.put("aggregating", task_id)
    q.call("ZADD", q.keys.group("g"), 1234, "a")
    aggregation_set(q, "a", "b", "gone", score=time.time() - 5)
    q.call("DEL", q.keys.task("gone"))
    assert q.run(survey(q.name, [])).stale_sets == 1
    assert q.run(reclaim(q.name)) == Reclaimed(moved=2, orphaned=1, sets=1, groups=0)
    assert not q.run(reclaim(q.name))
    assert q.ids("aggregating") == ["a", "b"]
    assert q.call("ZSCORE", q.keys.group("g"), "a") == b"1234"
    assert q.call("SMEMBERS", q.keys.groups) == [b"g"]
    assert q.call("EXISTS", q.keys.aggregation_sets) == 0
    assert q.orphans() == ["gone"]
    assert check() == []


def test_a_set_that_is_being_aggregated_is_left_alone(q: Sweep, check: Any) -> None:
    q.put("aggregating")
    key = aggregation_set(q, "a", score=time.time() + 60)
    assert q.run(survey(q.name, [])).stale_sets == 0
    assert q.sweep() == []
    assert q.repair_of() is Repair.FINE
    assert not q.run(reclaim(q.name))
    assert q.call("ZRANGE", key, 0, -1) == [b"a"]
    assert check() == []


@pytest.mark.parametrize("name", ["asynq:{other}:g:x:1", "whatever", "gone", "group"])
def test_a_registration_of_no_set_is_forgotten(q: Sweep, check: Any, name: str) -> None:
    q.put("aggregating")
    key = {"gone": q.keys.group("g") + ":gone", "group": q.keys.group("g")}.get(name, name)
    q.call("ZADD", q.keys.aggregation_sets, 5, key)
    assert q.run(survey(q.name, [])).stale_sets == 1
    assert q.run(reclaim(q.name)).sets == 1
    assert q.ids("aggregating") == ["a"]
    assert check() == []


def test_a_listed_group_without_tasks_is_forgotten(q: Sweep, check: Any) -> None:
    q.put("aggregating")
    q.call("SADD", q.keys.groups, "empty", "g")
    assert any("empty" in line for line in check())
    found = q.run(survey(q.name, [], cursor="0"))
    assert (found.groups, found.empty_groups, found.cursor) == (["g"], ["empty"], "0")
    assert q.run(reclaim(q.name, ["empty", "g"])).groups == 1
    assert check() == []


def test_a_large_set_is_reclaimed_in_steps(q: Sweep, check: Any) -> None:
    for number in range(450):
        q.put("aggregating", f"t{number}")
    aggregation_set(q, *(f"t{number}" for number in range(450)), score=5)
    steps = list(iter(lambda: q.run(reclaim(q.name)), Reclaimed(0, 0, 0, 0)))
    assert [done.moved for done in steps] == [200, 200, 50]
    assert check() == []


# --- locks and orphans ---------------------------------------------------------------------------------------


def test_only_locks_without_an_owner_are_released(q: Sweep, check: Any) -> None:
    lock = unique_key(q.name, "noop", b"{}")
    q.run(enqueue(q.name, [NewTask(q.message("a", unique_key=lock), lock_seconds=60)]))
    q.add("other")
    gone, foreign = q.keys.unique_prefix + "x:gone", q.keys.unique_prefix + "x:foreign"
    q.call("SET", gone, "nobody", "EX", 60)
    q.call("SET", foreign, "other", "EX", 60)
    locks = [lock, gone, foreign, q.keys.unique_prefix + "x:ended"]
    assert len(check()) == 2
    assert q.run(release_locks(q.name, locks, dry=True)) == [False, True, True, False]
    assert q.call("EXISTS", *locks) == 3
    assert q.run(release_locks(q.name, locks)) == [False, True, True, False]
    assert q.call("EXISTS", *locks) == 1
    # For a grouped task Go writes its lock into the message only.
    q.call("HDEL", q.keys.task("a"), "unique_key")
    assert q.run(release_locks(q.name, [lock])) == [False]
    assert check() == []


def test_the_lock_of_a_hash_without_a_message_goes_with_it(q: Sweep, check: Any) -> None:
    lock = unique_key(q.name, "noop", b"{}")
    q.run(enqueue(q.name, [NewTask(q.message("a", unique_key=lock), lock_seconds=60)]))
    q.call("HDEL", q.keys.task("a"), "msg")
    q.sweep()
    assert q.call("EXISTS", lock) == 0
    assert check() == []


def test_orphans_are_kept_for_ninety_days_and_ten_thousand_at_most(q: Sweep) -> None:
    now = int(time.time())
    q.call("ZADD", q.keys.orphans, now - ORPHAN_SECONDS - 5, "old", now - ORPHAN_SECONDS + 60, "kept")
    for start in range(0, 10_050, 1050):
        scored = [part for number in range(start, start + 1050) for part in (now, f"o{number}")]
        q.call("ZADD", q.keys.orphans, *scored)
    while q.run(expire(q.name)):
        pass
    assert q.call("ZCARD", q.keys.orphans) == 10_000
    assert q.call("ZSCORE", q.keys.orphans, "old") is None


def test_dequeue_takes_what_says_it_is_active_and_nobody_has(q: Sweep, check: Any) -> None:
    """A requeue of Go's that failed half-way; the state would keep it from ever running."""
    q.put("pending")
    q.call("HSET", q.keys.task("a"), "state", "active")
    q.call("RPUSH", q.keys.pending, "a")
    assert [taken.id for taken in q.take()] == ["a"]
    assert q.ids("active") == ["a"]
    assert check() == []


def test_a_task_key_of_a_wrong_type_stops_no_transition(q: Sweep) -> None:
    for state, key in (("active", "x"), ("pending", "p"), ("scheduled", "s")):
        q.put(state, key)
        q.call("DEL", q.keys.task(key))
        q.call("SET", q.keys.task(key), "x")
    q.call("ZADD", q.keys.scheduled, 5, "s")
    q.call("ZADD", q.keys.lease, 5, "x")
    q.run(forward(q.name))
    q.run(recover(q.name))
    assert q.take() == []
    assert q.orphans() == ["p", "s", "x"]


@pytest.mark.parametrize("kind", ["a string", "no message", "gone"])
def test_a_task_that_is_none_any_more_stops_neither_leases_nor_verdicts_of_others(
    q: Sweep, kind: str
) -> None:
    q.add("bad", "good", unique_key=unique_key(q.name, "noop", b"{}"))
    bad, good = q.take()
    if kind == "no message":
        q.call("HDEL", q.keys.task("bad"), "msg")
    else:
        q.call("DEL", q.keys.task("bad"))
    if kind == "a string":
        q.call("SET", q.keys.task("bad"), "x")
    q.call("LPUSH", good_lock := unique_key(q.name, "noop", b"{}"), "not a lock")
    # What is left of a task without a message is still its worker's: the verdict takes it away.
    left = kind == "no message"
    assert q.run(extend(q.name, [bad, good])).lost == ([] if left else ["bad"])
    assert [one.id for one in q.run(held(q.name, "me"))] == ["good"]
    verdicts = [ended(one, Verb.DONE, lock=good_lock) for one in (bad, good)]
    assert q.run(finish(q.name, verdicts, time.time())) == [
        Written.WRITTEN if left else Written.REFUSED,
        Written.WRITTEN,
    ]
    assert q.call("EXISTS", q.keys.task("good")) == 0

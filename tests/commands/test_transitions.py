"""Every transition: the state before, the call, the state after."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from taskflow.broker.command import Plain, same
from taskflow.broker.commands.dequeue import BATCH, Taken, dequeue, extend
from taskflow.broker.commands.enqueue import EnqueueReply, NewTask, enqueue
from taskflow.broker.commands.finish import DONE_BATCH, Written, finish
from taskflow.broker.commands.maintenance import expire, forward, recover
from taskflow.broker.keys import day_of, queue_keys
from taskflow.broker.words import Enqueued
from taskflow.message.task_message import TaskMessage, unique_key
from taskflow.states import Verb
from tests.taking import ended

Run = Callable[[Any], Any]

CREATED, ALREADY_THERE = EnqueueReply(Enqueued.CREATED), EnqueueReply(Enqueued.ALREADY_THERE)


class Queue:
    """A queue, and a look at its keys."""

    def __init__(self, run: Run, name: str) -> None:
        self.run = run
        self.name = name
        self.keys = queue_keys(name)

    def call(self, *words: Any) -> Any:
        return self.run(Plain(words, same, self.keys.slot))

    def message(self, task_id: str, **fields: Any) -> TaskMessage:
        fields.setdefault("timeout", 60)
        return TaskMessage(type="noop", payload=b"{}", id=task_id, queue=self.name, **fields)

    def add(self, *ids: str, **fields: Any) -> None:
        self.set_up(*[NewTask(self.message(task_id, **fields)) for task_id in ids])

    def set_up(self, *tasks: NewTask) -> None:
        """Set the scene: new tasks. Where commands fail on purpose, a first reply may be lost, and the second says so."""
        replies = self.run(enqueue(self.name, list(tasks)))
        assert all(reply in (CREATED, ALREADY_THERE) for reply in replies), replies
        assert len(replies) == len(tasks)

    def take(self, count: int = 10, token: str = "t", owner: str = "me") -> list[Taken]:
        """As a worker does: while the server has no record of a call that was sent again, ask anew."""
        while (reply := self.run(dequeue(self.name, owner, token, count))).unspent:
            pass
        tasks: list[Taken] = reply.tasks
        return tasks

    def finish(self, verb: Verb, taken: Taken, **fields: Any) -> Written:
        (written,) = self.run(finish(self.name, [ended(taken, verb, **fields)], time.time()))
        return written  # type: ignore[no-any-return]

    def hash(self, task_id: str) -> dict[bytes, bytes]:
        flat = self.call("HGETALL", self.keys.task(task_id))
        return dict(zip(flat[::2], flat[1::2], strict=True))

    def state(self, task_id: str) -> str:
        """The state of a task, after a check that it stands exactly in the place of that state."""
        places = [
            state
            for state in ("pending", "active")
            if task_id.encode() in self.call("LRANGE", self.keys.state(state), 0, -1)
        ]
        places += [
            state
            for state in ("scheduled", "retry", "archived", "completed")
            if self.call("ZSCORE", self.keys.state(state), task_id) is not None
        ]
        fields = self.hash(task_id)
        assert places == ([fields[b"state"].decode()] if fields else [])
        leased = self.call("ZSCORE", self.keys.lease, task_id) is not None
        assert leased == (places == ["active"])
        return places[0] if places else "gone"


@pytest.fixture
def q(run: Run, queue: str) -> Queue:
    return Queue(run, queue)


def test_enqueue_keeps_order_and_writes_what_go_reads(q: Queue) -> None:
    q.add("a", "b")
    q.add("c")
    assert q.call("LRANGE", q.keys.pending, 0, -1) == [b"c", b"b", b"a"]
    fields = q.hash("a")
    assert fields.keys() == {b"msg", b"state", b"pending_since"}
    assert fields[b"msg"] == q.message("a").encode()
    assert abs(int(fields[b"pending_since"]) / 1e9 - time.time()) < 60
    assert [taken.id for taken in q.take(2)] == ["a", "b"]


def test_enqueue_refuses_an_id_in_any_state_and_leaves_no_lock(q: Queue) -> None:
    q.add("a")
    lock = unique_key(q.name, "noop", b"{}")
    again = NewTask(q.message("a", unique_key=lock), lock_seconds=60)
    assert q.run(enqueue(q.name, [again])) == [EnqueueReply(Enqueued.ID_TAKEN)]
    assert q.call("EXISTS", lock) == 0


def test_enqueue_many_has_an_outcome_for_each(q: Queue) -> None:
    lock = unique_key(q.name, "noop", b"{}")
    unique = [NewTask(q.message(task_id, unique_key=lock), lock_seconds=60) for task_id in ("u1", "u2")]
    tasks = [NewTask(q.message("x")), *unique, NewTask(q.message("x")), NewTask(q.message("later"), delay=50)]
    assert q.run(enqueue(q.name, tasks)) == [
        CREATED,
        CREATED,
        EnqueueReply(Enqueued.DUPLICATE, "u1"),
        EnqueueReply(Enqueued.ID_TAKEN),
        CREATED,
    ]
    assert [q.state(task_id) for task_id in ("x", "u1", "u2", "later")] == [
        "pending",
        "pending",
        "gone",
        "scheduled",
    ]
    assert q.call("GET", lock) == b"u1"
    assert 50 <= q.call("TTL", lock) <= 60


def test_a_repeated_enqueue_is_a_success_and_a_first_one_a_conflict(q: Queue) -> None:
    lock = unique_key(q.name, "noop", b"{}")
    command = enqueue(
        q.name, [NewTask(q.message("a")), NewTask(q.message("u", unique_key=lock), lock_seconds=60)]
    )
    assert q.run(command) == [CREATED, CREATED]
    repeated = replace(command, args=[1, *command.args[1:]])
    assert q.run(repeated) == [EnqueueReply(Enqueued.ALREADY_THERE)] * 2
    assert q.run(command) == [EnqueueReply(Enqueued.ID_TAKEN)] * 2
    other = enqueue(q.name, [NewTask(replace(q.message("a"), payload=b'{"other":1}'))])
    assert q.run(replace(other, args=[1, *other.args[1:]])) == [EnqueueReply(Enqueued.ID_TAKEN)]
    assert q.call("LLEN", q.keys.pending) == 2


@pytest.mark.broken_keys
def test_a_key_of_another_kind_takes_its_name_from_one_task_only(q: Queue) -> None:
    """In a batch, garbage under the name of one caller's task or lock is nothing to the other callers."""
    lock = unique_key(q.name, "noop", b"{}")
    q.call("SET", q.keys.task("taken"), "garbage")
    q.call("LPUSH", lock, "garbage")
    tasks = [
        NewTask(q.message("first")),
        NewTask(q.message("taken")),
        NewTask(q.message("locked", unique_key=lock), lock_seconds=60),
        NewTask(q.message("last")),
    ]
    expected = [CREATED, EnqueueReply(Enqueued.ID_TAKEN), EnqueueReply(Enqueued.DUPLICATE, ""), CREATED]
    assert q.run(enqueue(q.name, tasks)) == expected
    there = EnqueueReply(Enqueued.ALREADY_THERE)
    assert q.run(enqueue(q.name, tasks, resent=True)) == [there, *expected[1:3], there]
    assert q.call("LRANGE", q.keys.pending, 0, -1) == [b"last", b"first"]


def test_a_group_gathers_its_tasks(q: Queue) -> None:
    q.run(enqueue(q.name, [NewTask(q.message("g1", group_key="mail"))]))
    assert q.call("SMEMBERS", q.keys.groups) == [b"mail"]
    assert q.call("ZRANGE", q.keys.group("mail"), 0, -1) == [b"g1"]
    assert q.hash("g1").keys() == {b"msg", b"state", b"group"}


def test_dequeue_leases_to_the_owner(q: Queue) -> None:
    q.add("a", "b", "c")
    taken = q.take(2)
    assert [one.id for one in taken] == ["a", "b"]
    assert q.state("a") == "active"
    fields = q.hash("a")
    assert fields.keys() == {b"msg", b"state", b"owner", b"receipt", b"pending_since"}
    assert fields[b"owner"] == b"me"
    lease = float(q.call("ZSCORE", q.keys.lease, "a"))
    assert lease % 1 > 0, "it is told from one of Go's"
    assert 25 <= lease - time.time() <= 32


def test_a_repeated_dequeue_gets_the_same_tasks(q: Queue) -> None:
    q.add("a", "b", "c", "d")
    command = dequeue(q.name, "me", "token", 2)
    first = q.run(command)
    q.finish(Verb.DONE, first.tasks[0])
    again = q.run(replace(command, args=[1, *command.args[1:]]))
    assert again.tasks == [first.tasks[1]]
    assert not again.unspent
    never_ran = dequeue(q.name, "me", "another token", 2)
    reply = q.run(replace(never_ran, args=[1, *never_ran.args[1:]]))
    assert (reply.tasks, reply.unspent) == ([], True), (
        "what is lost on its way is not taken for an empty queue"
    )
    assert q.call("LLEN", q.keys.pending) == 2


def test_a_repeated_dequeue_leaves_out_what_go_has_taken_since(q: Queue) -> None:
    """Go leaves our fields where they are; only its lease, of a whole second, says that the task is not ours any more."""
    q.add("a", "b")
    command = dequeue(q.name, "me", "token", 2)
    _, b = q.run(command).tasks
    q.call("ZADD", q.keys.lease, int(time.time()) + 30, "a")
    assert q.run(command.again()).tasks == [b]


def test_dequeue_of_a_paused_queue_takes_nothing(q: Queue) -> None:
    q.add("a")
    q.call("SET", q.keys.paused, 1)
    reply = q.run(dequeue(q.name, "me", "t", 5))
    assert (reply.paused, reply.tasks) == (True, [])
    assert q.state("a") == "pending"


def test_dequeue_skips_ghosts_and_doubles(q: Queue) -> None:
    q.add("a")
    (a,) = q.take(1)
    q.add("b")
    q.call("RPUSH", q.keys.pending, "ghost", "a")
    reply = q.run(dequeue(q.name, "other", "t2", 5))
    assert [one.id for one in reply.tasks] == ["b"]
    assert reply.orphans == 1
    assert q.call("ZRANGE", q.keys.orphans, 0, -1) == [b"ghost"]
    assert q.hash("a")[b"owner"] == b"me"
    assert q.finish(Verb.DONE, a) is Written.WRITTEN


def test_done_leaves_nothing_but_the_counters(q: Queue) -> None:
    lock = unique_key(q.name, "noop", b"{}")
    q.run(enqueue(q.name, [NewTask(q.message("a", unique_key=lock), lock_seconds=60)]))
    (a,) = q.take()
    assert q.finish(Verb.DONE, a, lock=lock) is Written.WRITTEN
    assert q.state("a") == "gone"
    assert q.call("EXISTS", lock) == 0
    today = q.keys.processed_on(day_of(time.time()))
    assert q.call("GET", q.keys.processed) == q.call("GET", today) == b"1"
    assert 7775000 < q.call("TTL", today) <= 7776000


def test_a_lock_of_another_task_or_another_queue_is_left_alone(q: Queue) -> None:
    lock = unique_key(q.name, "noop", b"{}")
    q.add("a", "b")
    a, b = q.take()
    q.call("SET", lock, "somebody else")
    assert q.finish(Verb.DONE, a, lock=lock) is Written.WRITTEN
    assert q.call("GET", lock) == b"somebody else"
    assert q.finish(Verb.DONE, b, lock=q.keys.pending) is Written.WRITTEN  # names another key: not touched


def test_complete_keeps_the_result(q: Queue) -> None:
    q.add("a", retention=50)
    (a,) = q.take()
    kept = q.message("a", retention=50, completed_at=123).encode()
    assert q.finish(Verb.COMPLETE, a, message=kept, delay=50, result=b'{"x":1}') is Written.WRITTEN
    assert q.state("a") == "completed"
    assert q.hash("a") == {b"msg": kept, b"state": b"completed", b"result": b'{"x":1}'}
    assert abs(float(q.call("ZSCORE", q.keys.completed, "a")) - time.time() - 50) < 5


def test_retry_and_archive_count_as_failures_and_a_snooze_does_not(q: Queue) -> None:
    q.add("r", "s", "a")
    r, s, a = q.take()
    kept = q.message("r", retried=1, error_msg="boom").encode()
    assert q.finish(Verb.RETRY, r, message=kept, delay=12.2) is Written.WRITTEN
    assert q.finish(Verb.SNOOZE, s, message=s.message, delay=5) is Written.WRITTEN
    assert q.finish(Verb.ARCHIVE, a, message=a.message, error="why") is Written.WRITTEN
    assert [q.state(task_id) for task_id in "rsa"] == ["retry", "scheduled", "archived"]
    assert q.hash("r")[b"msg"] == kept
    assert q.hash("a")[b"error"] == b"why"
    score = float(q.call("ZSCORE", q.keys.retry, "r"))
    assert score == int(score)
    assert (q.call("GET", q.keys.processed), q.call("GET", q.keys.failed)) == (b"2", b"2")


def test_a_lock_lasts_from_when_a_snoozed_task_may_run_again(q: Queue) -> None:
    """A snooze of an hour outlived a lock of a minute, and the same task was enqueued a second time. A lock that is another's by
    now stays as it is.
    """
    mine, others = q.keys.unique_prefix + "x:1", q.keys.unique_prefix + "x:2"
    for task_id, lock in (("a", mine), ("b", others)):
        q.run(enqueue(q.name, [NewTask(q.message(task_id, unique_key=lock), lock_seconds=60)]))
    a, b = q.take()
    q.call("SET", others, "somebody", "EX", 60)
    for taken, lock in ((a, mine), (b, others)):
        assert q.finish(Verb.SNOOZE, taken, number=3, delay=3600, lock=lock) is Written.WRITTEN
    assert 3650 < int(q.call("TTL", mine)) <= 3660
    assert int(q.call("TTL", others)) <= 60
    assert (q.state("a"), q.hash("a")[b"snoozes"]) == ("scheduled", b"1")
    assert b"first_failed_at" not in q.hash("a")
    assert q.call("GET", q.keys.processed) is None


def test_requeue_goes_to_the_front_and_counts_nothing(q: Queue) -> None:
    q.add("a", "b")
    before = q.hash("a")
    (a,) = q.take(1)
    assert q.finish(Verb.REQUEUE, a) is Written.WRITTEN
    assert q.call("LRANGE", q.keys.pending, 0, -1) == [b"b", b"a"]
    assert q.hash("a") == before, "it has waited since it came"
    (again,) = q.take(1, token="t2")
    assert q.finish(Verb.REQUEUE_CRASHED, again) is Written.WRITTEN
    (third,) = q.take(1, token="t3")
    assert (third.id, third.crashes) == ("a", 1)
    assert q.call("EXISTS", q.keys.processed) == 0


def test_put_back_waits_for_somebody_who_knows_the_name(q: Queue) -> None:
    q.add("a")
    (a,) = q.take()
    assert q.finish(Verb.PUT_BACK, a, delay=3) is Written.WRITTEN
    assert q.state("a") == "scheduled"
    assert q.hash("a")[b"unknown"] == b"1"


@pytest.mark.parametrize("verb", list(Verb))
def test_a_verdict_is_refused_to_whoever_does_not_hold_the_task(q: Queue, verb: Verb) -> None:
    q.add("a")
    (a,) = q.take()
    assert q.finish(verb, msgspec.structs.replace(a, lease_token="s")) is Written.REFUSED
    q.call("ZADD", q.keys.lease, int(time.time()) + 30, "a")
    assert q.finish(verb, a) is Written.REFUSED, "Go has the task, and has left the receipt"
    assert q.state("a") == "active"
    assert q.call("EXISTS", q.keys.processed) == 0


@pytest.mark.parametrize("verb", list(Verb))
def test_a_repeated_verdict_changes_nothing_and_is_a_success(q: Queue, verb: Verb) -> None:
    q.add("a", "other")
    a, _ = q.take()
    item = ended(a, verb, message=b"" if verb in "dqku" else a.message, delay=9)
    command = finish(q.name, [item], time.time())
    assert q.run(command) == [Written.WRITTEN]
    before = (q.state("a"), q.hash("a"), q.call("GET", q.keys.processed), q.call("LLEN", q.keys.pending))
    assert q.run(replace(command, args=[1, *command.args[1:]])) == [Written.ALREADY_WRITTEN]
    assert before == (
        q.state("a"),
        q.hash("a"),
        q.call("GET", q.keys.processed),
        q.call("LLEN", q.keys.pending),
    )


def test_a_batch_of_verdicts_of_all_lengths_is_written_once_each(q: Queue) -> None:
    q.add("a", "b", "c", "d", "e")
    lock = q.keys.unique_prefix + "key"
    q.call("SET", lock, "b")
    a, b, c, d, e = q.take()
    q.call("DEL", q.keys.task("e"))
    verdicts = [
        ended(a, Verb.DONE),
        ended(b, Verb.DONE, lock=lock),
        ended(a, Verb.DONE),
        ended(c, Verb.RETRY, message=c.message, delay=5),
        ended(e, Verb.DONE),
        ended(d, Verb.DONE),
    ]
    written, refused = Written.WRITTEN, Written.REFUSED
    replies = [written, written, refused, written, refused, written]
    assert q.run(finish(q.name, verdicts, time.time())) == replies, "what stands twice in it counts once"
    assert q.call("GET", q.keys.processed) == b"4"
    assert [q.state(task_id) for task_id in "abcd"] == ["gone", "gone", "retry", "gone"]
    assert q.call("EXISTS", lock) == 0
    assert q.call("LRANGE", q.keys.active, 0, -1) == [b"e"], "only what the sweep has to look at"
    assert q.call("ZRANGE", q.keys.lease, 0, -1) == [b"e"]


def test_tasks_that_are_simply_done_are_written_in_one_call_whoever_took_them(q: Queue) -> None:
    """The replies come in the order in which they were given, after those of the outcomes: not as the script has them, which
    takes those of one lease token together.
    """
    q.add("a", "b", "c", "d", "e", "f")
    first, second = q.take(3), q.take(3, "u")
    (a, b, c), (d, e, f) = first, second
    q.call("HSET", q.keys.task("b"), "receipt", "another")
    q.call("DEL", q.keys.task("d"))
    command = finish(
        q.name, [ended(f, Verb.RETRY, message=f.message, delay=5)], time.time(), done=[d, a, e, b, c]
    )
    written, refused, before = Written.WRITTEN, Written.REFUSED, Written.ALREADY_WRITTEN
    assert q.run(command) == [written, refused, written, written, refused, written]
    assert [q.state(task_id) for task_id in "abcef"] == ["gone", "active", "gone", "gone", "retry"]
    assert q.run(command.again()) == [before, before, before, before, refused, before]
    assert q.call("GET", q.keys.processed) == b"4"


def test_as_many_as_one_call_has_are_done_in_it(q: Queue) -> None:
    ids = [f"t{number}" for number in range(DONE_BATCH)]
    q.add(*ids)
    taken = [one for token in "tu" for one in q.take(BATCH, token)]
    assert len(taken) == DONE_BATCH
    assert set(q.run(finish(q.name, [], time.time(), done=taken[::-1]))) == {Written.WRITTEN}
    assert q.call("GET", q.keys.processed) == str(DONE_BATCH).encode()
    assert q.call("EXISTS", q.keys.active, q.keys.lease, *map(q.keys.task, ids)) == 0


def test_a_task_whose_id_is_no_text_is_done_with_the_others(q: Queue) -> None:
    """Go takes any bytes for an id. All ids of a call go in one word, of a kind that has text only."""
    odd = b"\xff\x00\xfe".decode("utf-8", "surrogateescape")
    long = "x" * 300
    q.add("a", long, "b")
    q.call(
        "HSET",
        q.keys.task_prefix.encode() + b"\xff\x00\xfe",
        "msg",
        q.message("odd").encode(),
        "state",
        "pending",
    )
    q.call("LPUSH", q.keys.pending, b"\xff\x00\xfe")
    taken = q.take()
    assert [one.id for one in taken] == ["a", long, "b", odd]
    command = finish(q.name, [], time.time(), done=taken)
    assert q.run(command) == [Written.WRITTEN] * 4
    assert q.run(command.again()) == [Written.ALREADY_WRITTEN] * 4
    assert q.call("EXISTS", q.keys.active, q.keys.lease, q.keys.pending) == 0


def test_what_was_taken_last_is_done_first(q: Queue) -> None:
    """As much as is done is cut off the tail of `active`, where the oldest stand: these go back, the others are looked for."""
    ids = list("abcdef")
    q.add(*ids)
    taken = q.take()
    assert q.run(finish(q.name, [], time.time(), done=taken[4:])) == [Written.WRITTEN] * 2
    assert q.call("LRANGE", q.keys.active, 0, -1) == [b"d", b"c", b"b", b"a"], "in their order"
    assert q.run(finish(q.name, [], time.time(), done=[taken[3], taken[0]])) == [Written.WRITTEN] * 2
    assert q.call("LRANGE", q.keys.active, 0, -1) == [b"c", b"b"]


def test_forward_moves_what_is_due_and_says_what_comes_next(q: Queue) -> None:
    now = int(time.time())
    q.add("a", "b", "c", "d")
    for taken in q.take():
        q.finish(Verb.SNOOZE, taken, message=taken.message, delay=9000)
    for task_id, score in (("a", now - 5), ("b", now - 4), ("c", now + 500)):
        q.call("ZADD", q.keys.scheduled, score, task_id)
    q.call("ZREM", q.keys.scheduled, "d")
    q.call("ZADD", q.keys.scheduled, now - 9, "ghost")
    q.call("DEL", q.keys.task("d"))
    reply = q.run(forward(q.name))
    assert (reply.moved, reply.next_due_at) == (3, now + 500)
    assert q.call("LRANGE", q.keys.pending, 0, -1) == [b"b", b"a"]
    assert b"pending_since" in q.hash("a")
    assert q.call("ZRANGE", q.keys.orphans, 0, -1) == [b"ghost"]


def test_forward_into_a_group_registers_the_group(q: Queue) -> None:
    q.run(enqueue(q.name, [NewTask(q.message("g"), delay=100)]))
    q.call("HSET", q.keys.task("g"), "group", "mail")
    q.call("ZADD", q.keys.scheduled, 5, "g")
    assert q.run(forward(q.name)).moved == 1
    assert q.call("SMEMBERS", q.keys.groups) == [b"mail"]
    assert q.call("ZRANGE", q.keys.group("mail"), 0, -1) == [b"g"]
    assert q.hash("g")[b"state"] == b"aggregating"


def test_recover_takes_ours_at_the_end_of_the_lease_and_gos_half_a_minute_later(q: Queue) -> None:
    now = int(time.time())
    q.add("ours", "go", "late-go", "fresh", "ghost")
    q.take()
    # Go leaves our fields where they are.
    for task_id, score in (("ours", now - 2.5), ("go", now - 20), ("late-go", now - 35), ("ghost", now - 1)):
        q.call("ZADD", q.keys.lease, score, task_id)
    q.call("DEL", q.keys.task("ghost"))
    assert sorted(q.run(recover(q.name))) == ["late-go", "ours"]
    assert [q.state(task_id) for task_id in ("ours", "go", "late-go", "fresh")] == [
        "pending",
        "active",
        "pending",
        "active",
    ]
    assert q.hash("ours")[b"recoveries"] == b"1"
    assert q.hash("ours").keys().isdisjoint({b"owner", b"receipt"})
    assert q.call("ZRANGE", q.keys.orphans, 0, -1) == [b"ghost"]


def test_recover_takes_what_the_release_before_held_at_the_end_of_its_lease(q: Queue) -> None:
    """Its leases had whole seconds, and its receipts the SHA-1 of the message: where Go has recovered the task since, another."""
    q.add("old", "gos")
    for taken in q.take():
        message = taken.message if taken.id == "old" else b"before Go rewrote it"
        receipt = "0" * 16 + hashlib.sha1(message).hexdigest()
        q.call("HSET", q.keys.task(taken.id), "receipt", receipt)
        q.call("ZADD", q.keys.lease, int(time.time()) - 2, taken.id)
    assert q.run(recover(q.name)) == ["old"]


def test_extend_renews_what_is_held_and_names_what_is_not(q: Queue) -> None:
    q.add("a", "b", "c")
    taken = q.take()
    q.finish(Verb.DONE, taken[1])
    q.call("HSET", q.keys.task("c"), "receipt", "another" + "0" * 40)
    for task_id in "ac":
        q.call("ZADD", q.keys.lease, 5.5, task_id)
    assert q.run(extend(q.name, taken)).lost == ["b", "c"]
    ends = float(q.call("ZSCORE", q.keys.lease, "a"))
    assert ends > time.time() + 20
    assert ends % 1 > 0, "it is still told from one of Go's"
    assert float(q.call("ZSCORE", q.keys.lease, "c")) == 5.5
    q.call("ZADD", q.keys.lease, 2**33, "a")
    assert q.run(extend(q.name, taken[:1])).lost == ["a"], "Go has the task, and has left the receipt"
    assert float(q.call("ZSCORE", q.keys.lease, "a")) == 2**33
    assert q.call("ZSCORE", q.keys.lease, "b") is None


def test_expire_deletes_what_is_past_its_retention(q: Queue) -> None:
    q.add("old", "new", retention=50)
    for taken in q.take():
        q.finish(Verb.COMPLETE, taken, message=taken.message, delay=50, result=b"1")
    q.call("ZADD", q.keys.completed, 5, "old")
    assert q.run(expire(q.name)) == 1
    assert (q.state("old"), q.state("new")) == ("gone", "completed")


def test_archiving_trims_what_is_old_and_its_hash(q: Queue) -> None:
    q.add("old", "new")
    old, new = q.take()
    q.finish(Verb.ARCHIVE, old, message=old.message)
    q.call("ZADD", q.keys.archived, 5, "old")
    q.finish(Verb.ARCHIVE, new, message=new.message)
    assert (q.state("old"), q.state("new")) == ("gone", "archived")


def test_scripts_heal_when_a_node_forgets_them(q: Queue) -> None:
    q.add("a")
    q.call("SCRIPT", "FLUSH")
    q.add("b")
    assert q.call("LLEN", q.keys.pending) == 2


def test_what_nobody_knew_is_left_to_others_for_some_seconds(q: Queue) -> None:
    """A worker of ours that waits would always be faster than one of Go's, which asks once a second."""
    q.add("strange", "known")
    strange, known = q.take()
    q.finish(Verb.PUT_BACK, strange, delay=1)
    q.finish(Verb.DONE, known)
    q.call("ZADD", q.keys.scheduled, 5, "strange")
    q.run(forward(q.name))
    q.add("new")
    assert [one.id for one in q.take(1)] == []
    assert q.call("LRANGE", q.keys.pending, 0, -1) == [b"strange", b"new"], (
        "it goes to the far end: nobody waits behind it"
    )
    assert [one.id for one in q.take()] == ["new"]
    q.call("HSET", q.keys.task("strange"), "pending_since", int((time.time() - 4) * 1e9))
    assert [one.id for one in q.take()] == ["strange"]

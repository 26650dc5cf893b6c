"""What a cancel does to a task in each state, and that one which runs is never run again, whatever becomes of its worker."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from taskflow.broker.commands.admin import run_all, run_tasks
from taskflow.broker.commands.cancel import cancel
from taskflow.broker.commands.dequeue import CANCELLED_AT, Taken, dequeue, extend, held
from taskflow.broker.commands.enqueue import NewTask, enqueue
from taskflow.broker.commands.finish import Written, finish
from taskflow.broker.commands.maintenance import forward, recover
from taskflow.broker.words import Cancel, Cancelled
from taskflow.message.outcome import error_facts
from taskflow.message.task_message import TaskMessage, unique_key
from taskflow.states import State, Verb
from tests.commands.test_transitions import Queue
from tests.taking import ended

Run = Callable[[Any], Any]

GOES_ON = [Verb.RETRY, Verb.SNOOZE, Verb.REQUEUE, Verb.REQUEUE_CRASHED, Verb.PUT_BACK]


class Cancels(Queue):
    """A queue with tasks that are cancelled."""

    def cancel(self, *ids: str, grace: float | None = None) -> list[Cancelled]:
        replies: list[Cancelled] = self.run(cancel(self.name, ids, grace))
        return replies

    def enqueue(self, task_id: str, *, locked: bool = True, **when: Any) -> None:
        lock = unique_key(self.name, "noop", task_id.encode()) if locked else ""
        group = when.pop("group", "")
        message = self.message(task_id, unique_key=lock, group_key=group)
        self.run(enqueue(self.name, [NewTask(message, lock_seconds=60 if locked else 0, **when)]))

    def lock(self, task_id: str) -> Any:
        return self.call("GET", unique_key(self.name, "noop", task_id.encode()))

    def is_cancelled(self, task_id: str) -> bool:
        """Whether a task is archived as a cancelled one: for our tools and for Go's, and with nothing left that says so twice."""
        fields = self.hash(task_id)
        assert self.state(task_id) == "archived"
        assert fields.keys() - {b"group", b"first_failed_at", b"crashes", b"attempts"} <= {
            b"msg",
            b"state",
            b"error",
            b"unique_key",
        }
        assert self.lock(task_id) is None
        return (
            json.loads(fields[b"error"])["type"] == "TaskCancelled"
            and TaskMessage.decode(fields[b"msg"]).error_msg == "cancelled"
        )


@pytest.fixture
def q(run: Run, queue: str) -> Cancels:
    return Cancels(run, queue)


def wait_in(q: Cancels, state: str) -> None:
    match state:
        case "scheduled":
            q.enqueue("a", delay=60.0)
        case "aggregating":
            q.enqueue("a", group="g")
        case "retry":
            q.enqueue("a")
            (a,) = q.take()
            q.finish(Verb.RETRY, a, message=a.message, delay=60.5)
        case "pending":
            q.enqueue("a")


@pytest.mark.parametrize("state", ["pending", "scheduled", "retry", "aggregating"])
def test_what_waits_is_archived_at_once_and_its_lock_is_free(q: Cancels, state: str) -> None:
    wait_in(q, state)
    assert q.cancel("a") == [Cancelled.ARCHIVED]
    assert q.is_cancelled("a")
    assert q.take() == []
    assert q.call("EXISTS", q.keys.groups) == 0
    q.run(forward(q.name))
    assert q.cancel("a") == [Cancelled.HAS_ENDED]
    assert q.is_cancelled("a")


def test_the_error_is_what_python_would_have_written() -> None:
    assert Cancel.ERROR.value == error_facts("TaskCancelled", Cancel.TEXT.value)


def test_what_is_no_message_is_archived_as_it_is(q: Cancels) -> None:
    """What is written behind it would be read as a part of it, by whoever can read it."""
    for task_id, message in (("a", b"\xff\xff garbage"), ("b", b"\x0a\x04no"), ("c", b"")):
        q.enqueue(task_id, locked=False)
        q.call("HSET", q.keys.task(task_id), "msg", message)
        assert q.cancel(task_id) == [Cancelled.ARCHIVED]
        assert q.hash(task_id)[b"msg"] == message
        assert q.hash(task_id)[b"error"] == Cancel.ERROR.value.encode()


def test_what_has_ended_or_is_not_there_is_left_alone(q: Cancels) -> None:
    q.add("kept", "failed", retention=50)
    kept, failed = q.take()
    q.finish(Verb.COMPLETE, kept, message=kept.message, delay=50)
    q.finish(Verb.ARCHIVE, failed, message=failed.message, error="why")
    before = q.hash("failed")
    assert q.cancel("kept", "failed", "nobody") == [
        Cancelled.HAS_ENDED,
        Cancelled.HAS_ENDED,
        Cancelled.NO_SUCH_TASK,
    ]
    assert (q.state("kept"), q.hash("failed")) == ("completed", before)


def test_what_go_is_just_joining_is_refused(q: Cancels) -> None:
    q.enqueue("a", group="g", locked=False)
    aggregation = q.keys.group("g") + ":1234"
    q.call("COPY", q.keys.group("g"), aggregation)
    q.call("DEL", q.keys.group("g"))
    q.call("ZADD", q.keys.aggregation_sets, time.time() + 60, aggregation)
    assert q.cancel("a") == [Cancelled.IS_BEING_AGGREGATED]
    q.call("DEL", aggregation, q.keys.aggregation_sets, q.keys.groups, q.keys.task("a"))


def test_what_runs_keeps_its_worker_and_is_marked(q: Cancels) -> None:
    q.enqueue("a")
    (a,) = q.take()
    assert q.cancel("a") == [Cancelled.ASKED]
    assert q.state("a") == "active"
    reply = q.run(extend(q.name, [a]))
    assert (reply.lost, reply.cancelled) == ([], {"a": None})
    assert q.cancel("a", grace=2.5) == [Cancelled.ASKED]
    assert q.cancel("a") == [Cancelled.ASKED], "which does not take back that it is to be ended"
    assert q.run(extend(q.name, [a])).cancelled == {"a": 2.5}
    assert q.finish(Verb.DONE, a, lock=unique_key(q.name, "noop", b"a")) is Written.WRITTEN
    assert q.state("a") == "gone", "it was quicker"


@pytest.mark.parametrize("verb", GOES_ON)
@pytest.mark.parametrize("go", [False, True], ids=["", "after a lost reply"])
def test_what_would_be_run_again_is_archived(q: Cancels, verb: Verb, go: bool) -> None:
    """A retry, a worker that stops, a process that has died, a worker that does not know it: each puts it back."""
    q.enqueue("a")
    (a,) = q.take()
    q.cancel("a")
    failed = TaskMessage.decode(a.message)
    kept = q.message("a", unique_key=failed.unique_key, error_msg="boom", retried=1).encode()
    command = finish(
        q.name, [ended(a, verb, message=kept if verb == Verb.RETRY else b"", delay=5)], time.time()
    )
    assert q.run(command) == [Written.CANCELLED]
    assert q.is_cancelled("a")
    assert TaskMessage.decode(q.hash("a")[b"msg"]).retried == (verb == Verb.RETRY)
    if go:
        assert q.run(command.again()) == [Written.CANCELLED]


@pytest.mark.parametrize("verb", [Verb.DONE, Verb.COMPLETE, Verb.ARCHIVE, Verb.ARCHIVE_RAW])
def test_what_ends_anyhow_ends_as_it_does_and_keeps_no_mark(q: Cancels, verb: Verb) -> None:
    q.enqueue("a", locked=False)
    (a,) = q.take()
    q.cancel("a")
    assert (
        q.finish(verb, a, message=b"" if verb == Verb.ARCHIVE_RAW else a.message, delay=50) is Written.WRITTEN
    )
    assert not {b"cancel", b"expires"} & q.hash("a").keys()


def test_others_of_the_batch_are_written_as_ever(q: Cancels) -> None:
    q.enqueue("a")
    q.add("b", "c")
    a, b, c = q.take()
    q.cancel("a")
    items = [ended(a, Verb.REQUEUE), ended(b, Verb.REQUEUE), ended(c, Verb.DONE)]
    assert q.run(finish(q.name, items, time.time())) == [Written.CANCELLED, Written.WRITTEN, Written.WRITTEN]
    assert [one.id for one in q.take()] == ["b"]
    assert q.is_cancelled("a")


def test_what_a_dead_worker_had_is_archived_when_its_lease_is_over(q: Cancels) -> None:
    q.enqueue("a")
    q.add("b")
    q.take()
    q.cancel("a")
    for task_id in "ab":
        q.call("ZADD", q.keys.lease, time.time() - 5.5, task_id)
    assert q.run(recover(q.name)) == ["b"]
    assert q.is_cancelled("a")
    assert [one.id for one in q.take()] == ["b"]


def go_puts_back(q: Cancels, task_id: str) -> None:
    """As its worker, or its recoverer, retries a task: it knows no field of ours."""
    q.call("LREM", q.keys.active, 0, task_id)
    q.call("ZREM", q.keys.lease, task_id)
    q.call("ZADD", q.keys.retry, int(time.time()) - 1, task_id)
    q.call("HSET", q.keys.task(task_id), "state", "retry")


def test_what_go_has_put_back_comes_to_ours_with_the_mark(q: Cancels) -> None:
    """Whoever takes it archives it; and so does one that takes it up again after a lost reply."""
    q.enqueue("a", locked=False, expires=3600.0)
    q.take()
    q.cancel("a")
    go_puts_back(q, "a")
    q.run(forward(q.name))
    (again,) = q.take(token="t2")
    assert again.expires_at == CANCELLED_AT
    assert [one.expires_at for one in q.run(held(q.name, "me"))] == [CANCELLED_AT]
    again_sent = dequeue(q.name, "me", "t2", 10).again()
    assert [one.expires_at for one in q.run(again_sent).tasks] == [CANCELLED_AT]


@pytest.mark.parametrize("way", ["by id", "all"])
def test_an_order_to_run_takes_the_mark_away(q: Cancels, way: str) -> None:
    q.enqueue("a", locked=False)
    q.take()
    q.cancel("a")
    go_puts_back(q, "a")
    q.run(run_tasks(q.name, ["a"]) if way == "by id" else run_all(q.name, State.RETRY))
    (again,) = q.take(token="t2")
    assert again.expires_at == 0
    assert q.run(extend(q.name, [again])).cancelled == {}


def test_what_was_cancelled_can_be_run_by_hand(q: Cancels) -> None:
    q.enqueue("a")
    q.cancel("a")
    q.run(run_tasks(q.name, ["a"]))
    (a,) = q.take()
    assert isinstance(a, Taken)
    assert a.expires_at == 0
    assert TaskMessage.decode(a.message).payload == b"{}"
    assert q.cancel("a") == [Cancelled.ASKED]
    q.finish(Verb.REQUEUE, a)
    assert q.hash("a")[b"msg"].count(b"cancelled") == 1


def test_a_repeated_order_says_the_same(q: Cancels) -> None:
    """Its first copy has archived it, and the second one would find it archived."""
    q.enqueue("a")
    command = cancel(q.name, ["a"])
    assert q.run(command) == q.run(command.again()) == [Cancelled.ARCHIVED]


def test_a_long_queue_is_looked_through_in_several_calls(q: Cancels, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each id is looked for in the whole list: a hundred of them, in a million, would stop the server for a second."""
    q.add(*[f"t{number}" for number in range(200)])
    q.call("EVAL", "for i = 1, 70000 do redis.call('LPUSH', KEYS[1], 'x' .. i) end", 1, q.keys.pending)
    assert q.cancel("t1", "t2", "t3") == [Cancelled.ARCHIVED]
    q.call("DEL", q.keys.pending)
    q.call("DEL", *[q.keys.task(f"t{number}") for number in range(200)])

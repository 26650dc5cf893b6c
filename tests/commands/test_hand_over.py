"""Tasks from an outbox outside the server: the script that puts them into their queue, and the client that brings them."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from taskflow.broker.commands.hand_over import HandedOver, hand_over, let_end
from taskflow.broker.commands.outbox import CONFIRMED_SECONDS, ONCE_SECONDS
from taskflow.broker.words import Delivered, Enqueued
from taskflow.errors import DecodeError
from taskflow.message.ready import ReadyTask
from tests.commands.test_transitions import Queue, Run

LATER = float(int(time.time()) + 10_000)
"""A moment after which nothing of these tests is handed over."""


class Rows(Queue):
    """A queue, and what an outbox has for it."""

    def ready(self, task_id: str, **fields: Any) -> ReadyTask:
        message = self.message(task_id, unique_key=fields.get("lock", ""), group_key=fields.get("group", ""))
        return ReadyTask(task_id, self.name, "noop", message.encode(), fields.pop("once", task_id), **fields)

    def bring(self, *tasks: ReadyTask, not_after: float = LATER) -> list[Any]:
        found: HandedOver = self.run(hand_over(self.name, tasks, not_after)).value
        assert abs(found.server_time - time.time()) < 60
        return found.replies

    def ttl(self, task_id: str) -> int:
        return int(self.call("TTL", self.keys.once(task_id)))


@pytest.fixture
def q(run: Run, queue: str) -> Rows:
    return Rows(run, queue)


def test_a_task_is_handed_over_once_however_often_it_is_brought(q: Rows) -> None:
    """The relay dies between the delivery and the removal of the row, and the next one delivers the row again: the task has run
    by then and left nothing but its marker.
    """
    tasks = [q.ready("now"), q.ready("later", process_at=LATER), q.ready("delayed", delay=5000.0)]
    assert q.bring(*tasks) == [Enqueued.CREATED] * 3
    assert [q.state(task.id) for task in tasks] == ["pending", "scheduled", "scheduled"]
    assert float(q.call("ZSCORE", q.keys.scheduled, "delayed")) == pytest.approx(time.time() + 5000, abs=60)
    command = hand_over(q.name, [q.ready("resent", process_at=LATER)], LATER)
    assert [q.run(one).value.replies for one in (command, command.again())] == [[Enqueued.CREATED]] * 2
    assert q.bring(*tasks) == [Enqueued.ALREADY_THERE] * 3
    (taken,) = q.take()
    q.call("DEL", q.keys.task(taken.id))
    q.call("LREM", q.keys.active, 0, taken.id)
    q.call("ZREM", q.keys.lease, taken.id)
    assert q.bring(*tasks) == [Enqueued.ALREADY_THERE] * 3
    assert q.state("now") == "gone"


def test_a_marker_lives_for_days_and_for_minutes_once_its_row_is_gone(q: Rows) -> None:
    task = q.ready("a")
    q.bring(task)
    assert ONCE_SECONDS - 60 < q.ttl("a") <= ONCE_SECONDS
    q.run(let_end(task))
    assert CONFIRMED_SECONDS - 60 < q.ttl("a") <= CONFIRMED_SECONDS


def test_who_comes_after_the_marker_may_be_gone_is_refused(q: Rows) -> None:
    """A relay stood still after it had read its rows, for so long that another has delivered them and the markers have ended."""
    q.bring(q.ready("there"))
    past = time.time() - 100
    assert q.bring(q.ready("there"), q.ready("late"), not_after=past) == [
        Enqueued.ALREADY_THERE,
        Delivered.TOO_LATE,
    ]
    assert q.state("late") == "gone"


def test_an_id_that_is_used_again_is_another_call(q: Rows) -> None:
    """`id="report"` every day: the marker of yesterday's must not keep today's away, but a task that is there does."""
    assert q.bring(q.ready("report", once="report:1")) == [Enqueued.CREATED]
    assert q.bring(q.ready("report", once="report:2")) == [Enqueued.ID_TAKEN]
    q.call("DEL", q.keys.task("report"))
    q.call("DEL", q.keys.pending)
    assert q.bring(q.ready("report", once="report:1")) == [Enqueued.ALREADY_THERE]
    assert q.bring(q.ready("report", once="report:2")) == [Enqueued.CREATED]


def test_the_lock_of_a_unique_task_keeps_the_second_out(q: Rows) -> None:
    lock = q.keys.unique_prefix + "noop:0cc1"
    first, second = (q.ready(name, lock=lock, lock_seconds=60, delay=30.0) for name in ("a", "b"))
    assert q.bring(first, second) == [Enqueued.CREATED, "a"]
    assert q.bring(first) == [Enqueued.ALREADY_THERE]
    assert q.state("b") == "gone"
    assert 60 < int(q.call("TTL", lock)) <= 91
    assert q.hash("a")[b"unique_key"] == lock.encode()


def test_a_task_waits_in_its_group_and_expires_as_it_was_told(q: Rows) -> None:
    assert q.bring(q.ready("g", group="all"), q.ready("e", expires=50.0)) == [Enqueued.CREATED] * 2
    assert q.hash("g")[b"state"] == b"aggregating"
    assert q.call("ZSCORE", q.keys.group("all"), "g") is not None
    assert float(q.hash("e")[b"expires"]) == pytest.approx(time.time() + 50, abs=30)


@pytest.mark.broken_keys
def test_where_the_group_of_one_is_broken_the_others_do_not_count_as_delivered(q: Rows) -> None:
    """Half of a call would be tasks that wait nowhere, with markers that say that nothing is to be done."""
    q.call("SET", q.keys.group("all"), "no sorted set")
    tasks = [q.ready("before"), q.ready("grouped", group="all"), q.ready("after")]
    with pytest.raises(Exception, match="hand_over"):
        q.bring(*tasks)
    assert [q.ttl(task.id) for task in tasks] == [-2] * 3
    assert [q.state(task.id) for task in tasks] == ["gone"] * 3
    q.call("DEL", q.keys.group("all"))
    assert q.bring(*tasks) == [Enqueued.CREATED] * 3


@pytest.mark.broken_keys
def test_where_the_queue_is_broken_nothing_is_written_and_no_marker_lies(q: Rows) -> None:
    """A marker without its task would lose the task."""
    q.call("SET", q.keys.pending, "no list")
    with pytest.raises(Exception, match="hand_over"):
        q.bring(q.ready("a"))
    assert q.ttl("a") == -2
    q.call("DEL", q.keys.pending)
    assert q.bring(q.ready("a")) == [Enqueued.CREATED]


def test_what_is_packed_is_read_again_and_all_else_is_refused(q: Rows) -> None:
    task = q.ready("a", delay=5.0, lock="l", lock_seconds=3, group="g", expires_at=7.5)
    assert ReadyTask.unpack(memoryview(task.pack())) == task
    for damaged in (b"", b"\x02" + task.pack()[1:], task.pack()[:-3], b"\x01\xc1", b"\x01\x93\x01\x02\x03"):
        with pytest.raises(DecodeError):
            ReadyTask.unpack(damaged)
    assert task.aged(2.0).delay == 3.0
    assert task.aged(9.0).delay == 0.0
    assert msgspec.structs.replace(task, delay=None).aged(9.0).expires_at == 7.5
    assert "message" not in repr(task)

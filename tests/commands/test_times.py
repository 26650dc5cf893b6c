"""When tasks may start: exact times beside Go's whole seconds, times to start by, and since when a task has waited."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from taskflow.broker.commands.admin import run_tasks
from taskflow.broker.commands.dequeue import held
from taskflow.broker.commands.enqueue import NewTask
from taskflow.broker.commands.maintenance import forward, recover
from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.states import Verb
from tests.commands.test_transitions import Queue
from tests.servers import wait_until


@pytest.fixture
def q(run: Callable[[Any], Any], queue: str) -> Queue:
    return Queue(run, queue)


def now(q: Queue) -> float:
    seconds, micros = (int(part) for part in q.call("TIME"))
    return seconds + micros / 1e6


def later(q: Queue, task_id: str, **when: float) -> None:
    q.set_up(NewTask(q.message(task_id), **when))


def exact(q: Queue, task_id: str) -> float | None:
    score = q.call("ZSCORE", q.keys.due, task_id)
    return None if score is None else float(score)


def test_a_delay_keeps_its_fraction_beside_the_whole_second_that_go_reads(q: Queue) -> None:
    """`delay=0.3` started up to 1.3 s later: scores were rounded up to whole seconds, and nothing else was kept. They still
    are, since asynqmon can list no others, and so Go's forwarder never starts such a task early.
    """
    began = now(q)
    later(q, "soon", delay=0.3)
    later(q, "at", process_at=began + 7.25)
    later(q, "past", process_at=began - 1)
    soon, at = exact(q, "soon"), exact(q, "at")
    assert soon is not None
    assert began + 0.3 <= soon <= now(q) + 0.3
    assert at == pytest.approx(began + 7.25, abs=1e-5)
    assert float(q.call("ZSCORE", q.keys.scheduled, "soon")) == math.ceil(soon)
    assert float(q.call("ZSCORE", q.keys.scheduled, "at")) == math.ceil(at)
    assert q.state("past") == "pending"
    assert 0 < q.call("TTL", q.keys.due) <= 7200, "the key ends by itself"


def test_a_retry_and_a_put_back_keep_their_fractions_too(q: Queue) -> None:
    q.add("r", "u")
    r, u = q.take()
    began = now(q)
    q.finish(Verb.RETRY, r, message=r.message, delay=12.25)
    q.finish(Verb.PUT_BACK, u, delay=2.5)
    assert exact(q, "r") == pytest.approx(began + 12.25, abs=5)
    assert exact(q, "u") == pytest.approx(began + 2.5, abs=5)
    for task_id, key in (("r", q.keys.retry), ("u", q.keys.scheduled)):
        time_of = exact(q, task_id)
        assert time_of is not None
        assert time_of != int(time_of)
        assert float(q.call("ZSCORE", key, task_id)) == math.ceil(time_of)


def test_what_is_due_far_away_has_no_exact_time(q: Queue) -> None:
    """A million tasks for next week are not kept twice for the sake of half a second."""
    later(q, "far", delay=7200.5)
    later(q, "whole", process_at=float(int(time.time()) + 100))
    assert q.call("EXISTS", q.keys.due) == 0


def test_a_task_is_forwarded_at_its_exact_time_and_not_before(q: Queue) -> None:
    """In the middle of a second, when nothing in Go's sorted set is due yet."""
    for attempt in range(5):
        task_id = f"t{attempt}"
        due = int(now(q)) + 1.25
        later(q, task_id, process_at=due)
        early = q.run(forward(q.name))
        assert early.moved == 0 or early.server_time >= due
        if early.moved == 0:
            assert early.next_due_at == pytest.approx(due, abs=1e-5)
        wait_until(lambda due=due: now(q) >= due, description="it is due")
        reply = q.run(forward(q.name))
        assert q.state(task_id) == "pending"
        assert exact(q, task_id) is None
        if reply.moved and reply.server_time < math.ceil(due):
            return
    pytest.fail("this machine was never in time to see it")


def test_an_exact_time_that_is_out_of_date_starts_nothing(q: Queue) -> None:
    """What was run by hand and waits for its retry now must not start at the time that it had before."""
    later(q, "a", delay=0.2)
    assert q.run(run_tasks(q.name, ["a"]))
    (a,) = q.take()
    stale = exact(q, "a")
    assert stale is not None
    q.finish(Verb.RETRY, a, message=a.message, delay=9000)
    later(q, "gone", delay=0.2)
    q.call("DEL", q.keys.task("gone"))
    q.call("ZREM", q.keys.scheduled, "gone")
    wait_until(lambda: now(q) > stale + 0.5, description="the old times are over")
    q.run(forward(q.name))
    assert (q.state("a"), q.state("gone")) == ("retry", "gone")
    assert q.call("EXISTS", q.keys.due) == 0
    assert q.call("LLEN", q.keys.pending) == 0


def test_a_task_that_is_due_before_all_others_in_this_second_is_told(
    raw: redis.Redis, broker: Any, queue: str
) -> None:
    """Nobody asks in between the seconds, so whoever moves what is due has to hear of it; and of nothing else."""
    q = Queue(broker.run, queue)
    with raw.pubsub() as ear:
        ear.subscribe(queue_keys(queue).due)
        assert ear.get_message(timeout=5)
        wait_until(lambda: now(q) % 1 < 0.1, description="a second has begun")
        later(q, "soon", delay=5)
        later(q, "second", delay=0.4)
        later(q, "third", delay=0.41)
        later(q, "first", delay=0.3)
        later(q, "tomorrow", delay=86400)
        heard = [ear.get_message(timeout=0.5) for _ in range(3)]
    told = [float(message["data"]) for message in heard if message]
    assert told == [pytest.approx(exact(q, "second"), abs=1e-5), pytest.approx(exact(q, "first"), abs=1e-5)]


# --- until when it may start ----------------------------------------------------------------------------------------------


def test_the_time_to_start_by_counts_from_the_servers_clock(q: Queue) -> None:
    began = now(q)
    later(q, "in", expires=5.0)
    later(q, "at", expires_at=began + 9.5)
    later(q, "later", delay=100, expires=0.0)
    taken = {one.id: one for one in q.take()}
    assert began + 5 <= taken["in"].expires_at <= now(q) + 5
    assert taken["at"].expires_at == pytest.approx(began + 9.5, abs=1e-5)
    assert float(q.hash("later")[b"expires"]) == pytest.approx(began, abs=5)
    again = {one.id: one for one in q.run(held(q.name, "me"))}
    assert again == taken


@pytest.mark.parametrize(
    ("verb", "delay", "kept"),
    [
        (Verb.REQUEUE, 0.0, True),
        (Verb.PUT_BACK, 5.0, True),
        (Verb.REQUEUE, 1.0, False),
        (Verb.REQUEUE_CRASHED, 1.0, False),
        (Verb.RETRY, 5.0, False),
        (Verb.SNOOZE, 5.0, False),
        (Verb.ARCHIVE, 0.0, False),
    ],
)
def test_who_has_started_may_start_again_at_any_time(q: Queue, verb: Verb, delay: float, kept: bool) -> None:
    """The first start has to be in time; after that it is a task like any other. And what was archived may be run by hand."""
    later(q, "a", expires=5.0)
    (a,) = q.take()
    q.finish(verb, a, message=b"" if verb in "qku" else a.message, delay=delay)
    assert (b"expires" in q.hash("a")) is kept


def test_garbage_in_a_tasks_history_keeps_back_no_batch(q: Queue) -> None:
    q.add("a", "b")
    q.call(
        "HSET",
        q.keys.task("a"),
        "crashes",
        "nan",
        "recoveries",
        "x y",
        "expires",
        "inf",
        "first_failed_at",
        "-1e400",
    )
    a, b = q.take()
    assert (a.crashes, a.recoveries, a.first_failed_at, a.expires_at) == (0, 0, 0, 0.0)
    assert b.id == "b"


# --- since when it has waited ---------------------------------------------------------------------------------------------


def test_a_task_that_is_handed_back_has_waited_since_it_came(q: Queue) -> None:
    """The latency of a backlog read 0: what workers had handed back stood in front, and said nothing."""
    q.add("a", "b", "c", "d")
    since = q.hash("a")[b"pending_since"]
    a, b, c, _ = q.take()
    q.finish(Verb.REQUEUE, a)
    q.finish(Verb.REQUEUE_CRASHED, b)
    q.finish(Verb.RETRY, c, message=c.message, delay=5)
    q.call("ZADD", q.keys.lease, int(time.time()) - 2.5, "d")
    assert q.run(recover(q.name)) == ["d"]
    for task_id in "abd":
        assert q.state(task_id) == "pending"
        assert q.hash(task_id)[b"pending_since"] == since
    assert b"pending_since" not in q.hash("c"), "it does not wait to be taken"


def test_a_task_that_a_worker_of_gos_has_lost_waits_from_then_on(q: Queue) -> None:
    """Go forgets since when a task has waited as soon as it takes it."""
    q.add("a")
    q.take()
    q.call("HDEL", q.keys.task("a"), "owner", "receipt", "pending_since")
    q.call("ZADD", q.keys.lease, int(time.time()) - 35, "a")
    assert q.run(recover(q.name)) == ["a"]
    assert abs(int(q.hash("a")[b"pending_since"]) / 1e9 - now(q)) < 10


@pytest.mark.parametrize("due", [False, True])
def test_a_look_of_the_forwarder_searches_only_where_something_is_due(
    broker: Broker, raw: redis.Redis, queue: str, due: bool
) -> None:
    """Each worker looks at each queue each second, and nearly always nothing is due. Three searches more a look were a quarter of
    all that an idle worker had the server do.
    """
    keys = queue_keys(queue)
    raw.zadd(keys.scheduled, {"later": 2**33, **({"gone": 5} if due else {})})
    broker.run(forward(queue))  # the script is known from now on
    raw.zadd(keys.scheduled, {"gone": 5} if due else {"later": 2**33})
    with raw.monitor() as monitor:
        assert broker.run(forward(queue)).moved == due
        raw.get(keys.never)
        seen = []
        while keys.never not in (command := monitor.next_command()["command"]):
            seen.append(command)
    searched = [command for command in seen if command.startswith("ZRANGE") and "BYSCORE" in command]
    assert [keys.scheduled in command for command in searched] == [True] * due
    assert len([command for command in seen if command.startswith("ZRANGE")]) == 3 + 2 * due
    raw.delete(keys.scheduled, keys.orphans)

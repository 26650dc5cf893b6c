"""What follows a task is enqueued if its end counts, and then once, whoever dies in between."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

import pytest
import redis

from taskflow.broker.aio import AsyncBroker
from taskflow.broker.commands.dequeue import Taken
from taskflow.broker.commands.enqueue import NewTask, enqueue
from taskflow.broker.commands.finish import finish
from taskflow.broker.commands.outbox import CONFIRMED_SECONDS, Entry
from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.broker.words import Written
from taskflow.connection.aio import AsyncDriver
from taskflow.message.outcome import FollowUp
from taskflow.message.task_message import TaskMessage
from taskflow.partitions import partition_name
from taskflow.states import Verb
from taskflow.tasks import context
from taskflow.worker.loops.delivery import Delivery
from taskflow.worker.timings import Timings
from tests.lifecycle.conftest import Ledger
from tests.servers import Server, wait_until
from tests.taking import ended, take_one

SOON = Timings(overdue=0.3, outbox=0.2)


def outbox(raw: redis.Redis, queue: str) -> int:
    keys = queue_keys(queue)
    return int(raw.hlen(keys.outbox)) + int(raw.zcard(keys.outbox_at))


def follower(queue: str, tag: str) -> FollowUp:
    payload = b'{"tag":"%s"}' % tag.encode()
    message = TaskMessage(
        type="tests.lifecycle.app.work", payload=payload, id=tag, queue=queue, timeout=60, retention=600
    )
    return FollowUp(queue, tag, message.encode())


def die_after_finish(broker: Broker, queue: str, *tags: str, other: str) -> Taken:
    """What a worker leaves that ends a task with followers, and dies before it delivers them."""
    message = TaskMessage(type="t", payload=b"{}", id="led", queue=queue, timeout=60)
    broker.run(enqueue(queue, [NewTask(message)]))
    taken = take_one(broker, queue, "dead:1:x")
    then = tuple(follower(other, tag) for tag in tags)
    assert broker.run(finish(queue, [ended(taken, Verb.DONE, then=then)], time.time())) == [Written.WRITTEN]
    return taken


def test_followers_run_once_when_their_task_has_ended(
    tasks: Any, worker: Any, ledger: Ledger, raw: redis.Redis, queue: str
) -> None:
    """They go to another queue and to their task's own; nothing is left of them on the way."""
    other = f"{queue}-other"
    with worker(queues={queue: 1, other: 1}):
        first = tasks.lead.delay("a", other, 3)
        tasks.lead.delay("b", queue, 2)
        ledger.wait_for("end", "a.0.0", "a.0.1", "a.0.2", "b.0.0", "b.0.1")
        wait_until(lambda: outbox(raw, queue) == 0, description="the deliveries are confirmed")
    assert all(ledger.count("start", f"a.0.{number}") == 1 for number in range(3))
    assert raw.sismember("asynq:queues", other)
    assert 0 < raw.ttl(queue_keys(other).once(f"{first.id}.0.0")) <= CONFIRMED_SECONDS


def test_followers_of_a_solo_worker_run_once(
    tasks: Any, worker: Any, ledger: Ledger, raw: redis.Redis, queue: str
) -> None:
    """Tasks run in its own process there, and their outcomes go by no pipe."""
    with worker(pool="solo", concurrency=1):
        tasks.lead.delay("a", queue, 3)
        ledger.wait_for("end", "a.0.0", "a.0.1", "a.0.2")
        wait_until(lambda: outbox(raw, queue) == 0, description="the deliveries are confirmed")
    assert all(ledger.count("start", f"a.0.{number}") == 1 for number in range(3))


def test_followers_of_a_task_in_quarantine_run_once(
    tasks: Any, worker: Any, ledger: Ledger, raw: redis.Redis, queue: str
) -> None:
    """Its first process died, after it had said what is to follow. The second attempt, in a process apart, says it again."""
    with worker() as process:
        tasks.lead.delay("a", queue, 2, "after a crash")
        ledger.wait_for("end", "a.0.0", "a.0.1")
        wait_until(lambda: outbox(raw, queue) == 0, description="the deliveries are confirmed")
        process.wait_for_log("1 task was running when a process died, and runs apart")
    assert [ledger.count("start", tag) for tag in ("a", "a.0.0", "a.0.1")] == [2, 1, 1]
    assert sum("runs apart" in line for line in process.log) == 1


def test_followers_go_to_the_partition_that_they_name(
    tasks: Any, worker: Any, ledger: Ledger, raw: redis.Redis, queue: str
) -> None:
    """Or to the queue itself, which is its partition 0. Their worker declares no partitions, and finds what holds tasks."""
    other = f"{queue}-other"
    partition = partition_name(other, 3)
    with worker(queues={queue: 1, other: 1}, timings=Timings(partitions=0.3)):
        tasks.lead.delay("a", partition, 2)
        tasks.lead.delay("b", other, 1)
        ledger.wait_for("end", "a.0.0", "a.0.1", "b.0.0")
        wait_until(lambda: outbox(raw, queue) == 0, description="the deliveries are confirmed")
    assert all(ledger.count("start", tag) == 1 for tag in ("a.0.0", "a.0.1", "b.0.0"))


def test_only_the_attempt_that_counts_has_followers(
    tasks: Any, worker: Any, ledger: Ledger, raw: redis.Redis, queue: str
) -> None:
    """An attempt that failed had added some before it did: neither its retry nor its archive lets them follow."""
    with worker():
        tasks.lead.delay("second", queue, 1, "second")
        tasks.lead.delay("badly", queue, 1, "badly")
        ledger.wait_for("end", "second.1.0")
        wait_until(lambda: raw.zcard(queue_keys(queue).archived) == 1, description="the other is archived")
        wait_until(lambda: outbox(raw, queue) == 0, description="the delivery is confirmed")
    assert ledger.count("start", "second.0.0") == 0
    assert ledger.count("start", "badly.0.0") == 0


def test_followers_of_a_worker_that_died_are_delivered_by_another(
    worker: Any, ledger: Ledger, broker: Broker, raw: redis.Redis, queue: str
) -> None:
    die_after_finish(broker, queue, "f1", "f2", other=queue)
    assert outbox(raw, queue) == 4
    with worker(timings=SOON):
        ledger.wait_for("end", "f1", "f2")
        wait_until(lambda: outbox(raw, queue) == 0, description="the deliveries are confirmed")
    assert [ledger.count("start", tag) for tag in ("f1", "f2")] == [1, 1]


def test_a_burst_runs_the_followers_of_a_worker_that_died(
    worker: Any, ledger: Ledger, broker: Broker, raw: redis.Redis, queue: str
) -> None:
    """They are in no queue yet, and belong to what was asked for all the same: it ended before they were overdue."""
    die_after_finish(broker, queue, "f1", "f2", other=queue)
    with worker(burst=True, timings=Timings(overdue=1, outbox=0.2)) as process:
        assert process.wait() == 0
    assert [ledger.count("end", tag) for tag in ("f1", "f2")] == [1, 1]
    assert outbox(raw, queue) == 0


def test_a_burst_does_not_wait_for_a_queue_that_nothing_can_be_brought_to(
    worker: Any, broker: Broker, raw: redis.Redis, queue: str
) -> None:
    other = f"{queue}-broken"
    raw.set(queue_keys(other).pending, "no list")
    die_after_finish(broker, queue, "f1", other=other)
    with worker(burst=True, timings=SOON) as process:
        assert process.wait() == 0
        process.wait_for_log("they lie in the outbox")
    assert outbox(raw, queue) == 2
    raw.delete(queue_keys(other).pending)


def test_a_delivery_that_nobody_confirmed_is_made_again_and_runs_nothing_twice(
    valkey: Server, worker: Any, ledger: Ledger, broker: Broker, raw: redis.Redis, queue: str
) -> None:
    """The worker died between the delivery and its confirmation; the follower has run meanwhile, and is gone."""
    other = f"{queue}-other"
    die_after_finish(broker, queue, "f1", other=other)
    entry = Entry(raw.hkeys(queue_keys(queue).outbox)[0].decode(), follower(other, "f1"))
    with worker(queues={other: 1}, timings=SOON):
        asyncio.run(_bring(valkey.url, other, entry))
        ledger.wait_for("end", "f1")
    raw.delete(queue_keys(other).task("f1"))
    raw.delete(queue_keys(other).completed)
    assert outbox(raw, queue) == 2, "nobody serves the queue whose outbox it is"
    with worker(queues={queue: 1, other: 1}, timings=SOON):
        wait_until(lambda: outbox(raw, queue) == 0, description="it is confirmed at last")
    assert ledger.count("start", "f1") == 1


def test_a_worker_that_is_stopped_delivers_before_it_ends(
    tasks: Any, worker: Any, ledger: Ledger, raw: redis.Redis, queue: str
) -> None:
    other = f"{queue}-nobody-serves"
    with worker(concurrency=4) as process:
        for number in range(20):
            tasks.lead.delay(f"t{number}", other, 5)
        ledger.wait_for("start", "t19")
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
        led = sum(ledger.count("start", f"t{number}") for number in range(20))
    assert raw.llen(queue_keys(other).pending) == 5 * led
    assert outbox(raw, queue) == 0


def test_clocks_that_differ_keep_no_follower_back_and_a_worker_that_stood_still_delivers_nothing(
    valkey: Server, queue: str, raw: redis.Redis
) -> None:
    """What is too late is told by the destination's clock. Where that is minutes ahead of the outbox's, nothing would ever be
    delivered; whoever has seen the follower a moment ago knows better.
    """
    hour_ago = time.time() - 3600

    async def scene() -> None:
        broker = AsyncBroker(AsyncDriver(valkey.url))
        try:
            delivery = Delivery(broker)
            late = [Entry("late", follower(queue, "late"))]
            assert await delivery.bring(queue, late, time.monotonic() - 3600, hour_ago) == []
            fresh = [Entry("fresh", follower(queue, "fresh"))]
            assert await delivery.bring(queue, fresh, time.monotonic(), hour_ago) == ["fresh"]
        finally:
            await broker.close()

    asyncio.run(scene())
    assert raw.lrange(queue_keys(queue).pending, 0, -1) == [b"fresh"]


async def _bring(url: str, queue: str, entry: Entry) -> None:
    broker = AsyncBroker(AsyncDriver(url))
    try:
        assert await Delivery(broker).bring(queue, [entry], time.monotonic(), time.time()) == [entry.name]
    finally:
        await broker.close()


@pytest.mark.parametrize("fields", [{"unique_key": "asynq:{q}:unique:t:1"}, {"group_key": "g"}])
def test_what_has_a_lock_or_a_group_does_not_follow(fields: dict[str, str]) -> None:
    message = TaskMessage(type="t", payload=b"{}", id="f", queue="q", timeout=60, **fields)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cannot follow"):
        context.direct(message)._then(message)

"""A queue over several partitions: the real worker serves them as one queue, whatever it was told of their number."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from taskflow import TaskFlow
from taskflow.broker.commands.enqueue import NewTask, enqueue, publish_queues
from taskflow.broker.commands.queues import unlist
from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.connection.sync import SyncDriver
from taskflow.errors import DuplicateTask, TaskIdConflict
from taskflow.inspector import Inspector
from taskflow.message.task_message import TaskMessage
from taskflow.partitions import partition_name, partition_names
from taskflow.worker.timings import Timings
from tests.lifecycle.conftest import Ledger
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess

QUICK = Timings(partitions=0.3)

StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def put(valkey: Server) -> Iterator[Callable[[str, str], None]]:
    """Puts one task into a partition, by its own name, as Go would; the index is told only if asked to."""
    broker = Broker(SyncDriver(valkey.url))

    def put(name: str, tag: str, *, listed: bool = True) -> None:
        payload = json.dumps({"tag": tag}).encode()
        message = TaskMessage("tests.lifecycle.app.work", payload, f"id-{tag}", name, timeout=60)
        broker.run(enqueue(name, [NewTask(message)]))
        if listed:
            broker.run(publish_queues([name]))

    yield put
    broker.close()


def declared(queue: str, partitions: int) -> dict[str, str]:
    """The environment of an app with so many partitions."""
    return {"TASKFLOW_TEST_QUEUES": json.dumps({queue: {"partitions": partitions}})}


def test_a_worker_serves_every_partition_it_is_told_of(
    worker: StartWorker, queue: str, ledger: Ledger, put: Any, raw: redis.Redis
) -> None:
    with worker(environment=declared(queue, 6)) as process:
        for name in partition_names(queue, 6):
            put(name, name, listed=False)
        ledger.wait_for("end", *partition_names(queue, 6), timeout=5)
        wait_until(
            lambda: (
                {name.decode() for name in raw.smembers("asynq:queues")} >= set(partition_names(queue, 6))
            ),
            description="the index has them",
        )
        assert f"{queue}=1 over 6 partitions" in "\n".join(process.log)


def test_a_worker_drains_partitions_that_its_app_does_not_declare_any_more(
    worker: StartWorker, queue: str, ledger: Ledger, put: Any
) -> None:
    for name in partition_names(queue, 6):
        put(name, name)
    with worker(environment=declared(queue, 2)):
        ledger.wait_for("end", *partition_names(queue, 6), timeout=5)


def test_a_running_worker_finds_partitions_that_come_later(
    worker: StartWorker, queue: str, ledger: Ledger, put: Any
) -> None:
    with worker(timings=QUICK) as process:
        put(queue, "first")
        ledger.wait_for("end", "first")  # it has looked once
        name = partition_name(queue, 5)
        put(name, "grown")
        ledger.wait_for("end", "grown")
        process.wait_for_log(f"Serving partition {name} of queue {queue} too")


def test_a_burst_ends_when_all_partitions_are_empty(
    worker: StartWorker, queue: str, ledger: Ledger, put: Any
) -> None:
    for number, name in enumerate(partition_names(queue, 6) * 3):
        put(name, f"{name}-{number}")
    with worker(environment=declared(queue, 2), burst=True) as process:
        assert process.wait() == 0
    assert sum(line[0] == "end" for line in ledger.lines()) == 18


def test_a_removed_partition_is_served_no_more(
    worker: StartWorker, queue: str, ledger: Ledger, put: Any, broker: Broker
) -> None:
    name = partition_name(queue, 3)
    put(name, "last")
    with worker(timings=QUICK) as process:
        ledger.wait_for("end", "last")
        wait_until(lambda: not Inspector(broker).queue(name).active, description="its verdict is written")
        broker.run(unlist(name))
        process.wait_for_log(f"Partition {name} of queue {queue} was removed")
        put(name, "again")
        ledger.wait_for("end", "again")


def test_a_partition_that_comes_after_a_pause_is_paused_too(
    worker: StartWorker, queue: str, ledger: Ledger, put: Any, broker: Broker, raw: redis.Redis
) -> None:
    put(queue, "first")
    Inspector(broker).pause(queue)
    with worker(environment=declared(queue, 3)):
        for name in partition_names(queue, 3)[1:]:
            paused = queue_keys(name).paused
            wait_until(lambda key=paused: raw.exists(key), description=f"{name} is paused")
            put(name, name)
    assert not [line for line in ledger.lines() if line[0] == "start"]


def test_a_partition_that_gos_tools_have_paused_is_paused_alone_and_the_worker_says_so(
    worker: StartWorker, queue: str, ledger: Ledger, put: Any, broker: Broker, raw: redis.Redis
) -> None:
    """A worker that started took the first partition's pause for the whole queue's and paused the others as well; Go's resume
    then undid only the first, and nothing said why five sixths of the queue stood still.
    """
    first, second, third = partition_names(queue, 3)
    raw.set(queue_keys(first).paused, int(time.time()))  # as Go's inspector does
    with worker(environment=declared(queue, 3)) as process:
        for name in (first, second, third):
            put(name, name)
        ledger.wait_for("end", second, third)
        line = process.wait_for_log(f"Queue {queue} is partly paused: {first}")
        assert "taskflow queue resume" in line
        assert not ledger.count("start", first)
        assert not raw.exists(queue_keys(second).paused)
        raw.delete(queue_keys(first).paused)  # as Go's resume does
        ledger.wait_for("end", first)


@pytest.fixture
def spread(valkey: Server, queue: str) -> Iterator[Callable[..., TaskFlow]]:
    """Makes apps that spread the test's queue over so many partitions."""
    apps: list[TaskFlow] = []

    def make(count: int) -> TaskFlow:
        app = TaskFlow(broker=valkey.url_as("producer"), queues={queue: {"partitions": count}}, retention=600)

        @app.task(name="tests.lifecycle.app.work", queue=queue, max_retries=0)
        def work(tag: str, seconds: float = 0.0) -> str:
            return tag

        apps.append(app)
        return app

    yield make
    for app in apps:
        app.close()


def settle(raw: redis.Redis, queue: str, *counts: int) -> None:
    """These numbers of partitions have been in use for an hour."""
    hour_ago, tomorrow = int(time.time()) - 3600, int(time.time()) + 86400
    raw.hset(queue_keys(queue).partitions, mapping={str(n): f"{hour_ago - n} {tomorrow}" for n in counts})


def work(app: TaskFlow) -> Any:
    return app.get_task("tests.lifecycle.app.work")


def test_tasks_are_spread_run_and_found_again(
    worker: StartWorker, queue: str, ledger: Ledger, spread: Callable[..., TaskFlow]
) -> None:
    app = spread(6)
    handles = [work(app).delay(f"one-{n}") for n in range(12)]
    handles += work(app).map([(f"many-{n}",) for n in range(600)]).results
    assert {handle.queue for handle in handles} == set(partition_names(queue, 6))
    with worker(environment=declared(queue, 6)):
        for handle in handles[:20] + handles[-20:]:
            found = app.result(handle.id, queue=queue)
            assert found.get(20) == handle.get(20)
            assert found.queue == handle.queue
            assert found == handle
    assert app.result("nobody-has-it", queue=queue).state is None


def test_a_coroutine_spreads_and_finds_too(
    worker: StartWorker, queue: str, ledger: Ledger, spread: Callable[..., TaskFlow]
) -> None:
    async def scene(app: TaskFlow) -> None:
        handles = [await work(app).adelay(f"one-{n}") for n in range(6)]
        handles += (await work(app).amap([(f"many-{n}",) for n in range(400)])).results
        assert {handle.queue for handle in handles} == set(partition_names(queue, 6))
        for handle in handles[:6] + handles[-6:]:
            assert await app.result(handle.id, queue=queue).aget(20) == await handle.aget(20)
        await app.aclose()

    with worker(environment=declared(queue, 6)):
        asyncio.run(scene(spread(6)))


def test_results_are_found_in_partitions_that_are_not_declared_any_more(
    worker: StartWorker, queue: str, ledger: Ledger, spread: Callable[..., TaskFlow]
) -> None:
    handles = [work(spread(6)).delay(str(n)) for n in range(12)]
    fewer = spread(2)
    with worker(environment=declared(queue, 2)):
        for handle in handles:
            assert fewer.result(handle.id, queue=queue).get(20) == handle.get(20)


def test_growing_and_shrinking_under_load_loses_and_doubles_nothing(
    worker: StartWorker, queue: str, ledger: Ledger, spread: Callable[..., TaskFlow]
) -> None:
    """Clients and workers of 1, 6 and 2 partitions at once, as in a deploy."""
    tags = [f"{count}-{n}" for count in (1, 6, 2) for n in range(150)]
    with worker(environment=declared(queue, 1)), worker(environment=declared(queue, 6)):
        for count in (1, 6, 2):
            app = spread(count)
            for n in range(50):
                work(app).delay(f"{count}-{n}")
            work(app).map([(f"{count}-{n}",) for n in range(50, 150)]).raise_for_errors()
        ledger.wait_for("end", *tags, timeout=40)
    assert [ledger.count("start", tag) for tag in tags] == [1] * len(tags)


def test_a_lock_holds_across_growth(queue: str, raw: redis.Redis, spread: Callable[..., TaskFlow]) -> None:
    """Locks taken with 3 partitions keep equal tasks out with 6, whether before or after everybody knows of the 6."""
    settle(raw, queue, 3)
    few, many = spread(3), spread(6)
    once = {"unique": 600}
    homes = {n: work(few).options(**once).delay(str(n)).queue for n in range(40)}
    assert set(homes.values()) == set(partition_names(queue, 3))
    for n in range(40):
        with pytest.raises(DuplicateTask):
            work(many).options(**once).delay(str(n))
    settle(raw, queue, 3, 6)
    app = spread(6)
    for n in range(40):
        with pytest.raises(DuplicateTask):
            work(app).options(**once).delay(str(n))
    after = {work(app).options(**once).delay(f"new-{n}").queue for n in range(60)}
    assert after == set(partition_names(queue, 6))
    # A program that was not redeployed yet asks the registry again, and sees the new ones' locks.
    few.client._router._numbers.clear()  # type: ignore[union-attr]
    for n in range(60):
        with pytest.raises(DuplicateTask):
            work(few).options(**once).delay(f"new-{n}")


def test_one_of_many_equal_tasks_is_enqueued_whoever_comes_first(
    queue: str, raw: redis.Redis, spread: Callable[..., TaskFlow]
) -> None:
    settle(raw, queue, 6)
    app = spread(6)
    outcomes = [work(app).options(unique=600).map([(str(n % 20),) for n in range(100)])]
    assert len(outcomes[0].results) == 20
    assert all(isinstance(item.error, DuplicateTask) for item in outcomes[0].failed)


def test_an_id_is_taken_once_and_a_repetition_by_id_finds_the_first(
    queue: str, raw: redis.Redis, spread: Callable[..., TaskFlow]
) -> None:
    settle(raw, queue, 6)
    app = spread(6)
    work(app).options(id="order-1").delay("a")
    with pytest.raises(TaskIdConflict):
        work(app).options(id="order-1").delay("b")
    # What `BrokerUnavailable.task_id` is for, of a task that got its id by itself.
    for n in range(12):
        first = work(app).delay(f"r{n}")
        with pytest.raises(TaskIdConflict):
            # Another argument: the same task, sent again after a lost reply, is rightly a success.
            work(app).options(id=first.id).delay(f"other{n}")


def test_a_group_is_joined_in_one_partition(
    worker: StartWorker, queue: str, ledger: Ledger, raw: redis.Redis, spread: Callable[..., TaskFlow]
) -> None:
    settle(raw, queue, 6)
    app = spread(6)

    @app.task(name="tests.lifecycle.app.single", queue=queue)
    def single(number: int) -> None: ...

    groups = ("red", "green", "blue", "grey")
    for n in range(40):
        single.options(group=groups[n % 4]).delay(n)
    with worker(environment={**declared(queue, 6), "TASKFLOW_TEST_GROUPS": queue}):
        for group in groups:
            total = sum(n for n in range(40) if groups[n % 4] == group)
            ledger.wait_for("joined", f"{group}:10:{total}")


def test_a_signed_task_runs_in_its_partition(
    valkey: Server, worker: StartWorker, queue: str, ledger: Ledger
) -> None:
    app = TaskFlow(
        broker=valkey.url_as("producer"),
        queues={queue: {"partitions": 3}},
        signing_keys=["k" * 32],
        encryption_keys=["e" * 32],
        retention=600,
    )

    @app.task(name="tests.lifecycle.app.work", queue=queue)
    def work(tag: str) -> str:
        return tag

    keys = {"TASKFLOW_SIGNING_KEYS": "k" * 32, "TASKFLOW_ENCRYPTION_KEYS": "e" * 32}
    with worker(environment={**declared(queue, 3), **keys}):
        handles = [work.delay(str(n)) for n in range(6)]
        assert [app.result(one.id, queue=queue).get(20) for one in handles] == [str(n) for n in range(6)]
    app.close()

"""`with app.batch():` on real servers: gathered in the block, sent together at its end, or not at all."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
from typing import Any

import pytest

from taskflow import Batch, TaskFlow
from taskflow.broker.keys import queue_keys
from taskflow.client.bulk import LARGEST_BULK
from taskflow.errors import (
    BrokerUnavailable,
    ConfigurationError,
    DuplicateTask,
    EnqueueError,
    InvalidArguments,
    TaskIdConflict,
)
from tests.chaos.policy import Fate, Policy
from tests.chaos.proxy import Proxy
from tests.conftest import Cluster
from tests.servers import Server

from .together import tasks_of, waiting


@pytest.fixture
def app(noop: Any) -> TaskFlow:
    found: TaskFlow = noop._backend
    return found


def test_nothing_is_sent_before_the_block_ends(app: TaskFlow, noop: Any) -> None:
    with app.batch() as batch:
        handles = [
            noop.delay(1),
            noop.apply_async((2,)),
            noop.options(delay=500).delay(3),
            app.send("noop", number=4),
        ]
        assert waiting(noop) == []
        assert repr(batch) == "<batch of 4 calls, open>"
        with pytest.raises(ConfigurationError, match="after its block"):
            _ = batch.outcomes
    assert waiting(noop) == [1, 2, 4]
    assert handles[2].state == "scheduled"
    assert [outcome.result for outcome in batch.outcomes] == handles
    assert not batch.outcomes.failed
    noop.delay(5)
    assert waiting(noop) == [1, 2, 4, 5], "after the block a call is sent at once"


def test_the_queues_of_a_batch_share_their_pipelines(app: TaskFlow, noop: Any, queue: str) -> None:
    """On the cluster: one for each node."""
    names = [f"{queue}-{number}" for number in range(12)]
    driver = app.client.broker.driver
    trips: list[int] = []
    travel = driver._travel

    def counted(sent: Any, *rest: Any) -> Any:
        trips.append(len(sent))
        return travel(sent, *rest)

    noop.delay(0)
    driver._travel = counted  # type: ignore[method-assign]
    with app.batch() as batch:
        for number in range(60):
            noop.options(queue=names[number % 12]).delay(number)
    assert len(trips) <= 2, "a second time only to a node that did not know the script yet"
    assert trips[0] == len({driver.owner(slot) for slot in _slots(names)})
    assert [outcome.result.queue for outcome in batch.outcomes if outcome.result] == names * 5
    assert all(outcome.result.state == "pending" for outcome in batch.outcomes if outcome.result)


def test_nothing_is_sent_if_the_block_raises(app: TaskFlow, noop: Any) -> None:
    with pytest.raises(LookupError), app.batch() as batch:  # noqa: PT012 - the block is what raises
        noop.delay(1)
        raise LookupError
    assert waiting(noop) == []
    assert repr(batch) == "<batch of 1 calls, not sent>"
    with pytest.raises(ConfigurationError):
        _ = batch.outcomes
    noop.delay(2)
    assert waiting(noop) == [2]


def test_arguments_are_checked_where_the_call_is_made(app: TaskFlow, noop: Any) -> None:
    with app.batch() as batch:
        noop.delay(1)
        with pytest.raises(InvalidArguments):
            noop.delay("two")
        noop.delay(3)
    assert waiting(noop) == [1, 3]
    assert len(batch) == 2


def test_what_was_not_enqueued_is_raised_at_the_end(app: TaskFlow, noop: Any) -> None:
    noop.options(id="taken").delay()
    with (  # noqa: PT012 - the block is what raises
        pytest.raises(EnqueueError, match=r"2 of 4 calls were not enqueued; the first is number 1") as caught,
        app.batch() as batch,
    ):
        noop.delay(1)
        noop.options(id="taken").delay(2)
        noop.options(unique=60).delay(3)
        noop.options(unique=60).delay(3)
    assert isinstance(caught.value.__cause__, TaskIdConflict)
    assert [type(outcome.error) for outcome in batch.outcomes] == [
        type(None),
        TaskIdConflict,
        type(None),
        DuplicateTask,
    ]
    assert waiting(noop) == [0, 1, 3]


def test_or_is_looked_at_afterwards(app: TaskFlow, noop: Any) -> None:
    noop.options(id="taken").delay()
    with app.batch(raise_errors=False) as batch:
        noop.options(id="taken").delay(1)
        noop.delay(2)
    assert [outcome.index for outcome in batch.outcomes.failed] == [0]
    assert [result.id for result in batch.outcomes.results] != []


def test_a_batch_within_a_batch_is_sent_at_its_own_end(app: TaskFlow, noop: Any) -> None:
    with app.batch() as outer:
        noop.delay(1)
        with app.batch() as inner:
            noop.delay(2)
        assert waiting(noop) == [2]
        with pytest.raises(LookupError), app.batch():  # noqa: PT012 - the block is what raises
            noop.delay(3)
            raise LookupError
        noop.delay(4)
    assert waiting(noop) == [2, 1, 4]
    assert (len(outer), len(inner)) == (2, 1)


def test_a_batch_is_of_its_app(app: TaskFlow, noop: Any, url: str, queue: str) -> None:
    other, others = tasks_of(url, queue)
    with app.batch():
        noop.delay(1)
        with other.batch():
            noop.delay(2)
            others.delay(3)
        assert waiting(noop) == [3]
    assert waiting(noop) == [3, 1, 2]
    other.close()


def test_a_batch_is_for_one_block(app: TaskFlow) -> None:
    batch = app.batch()
    with batch:
        pass
    assert len(batch.outcomes) == 0
    with pytest.raises(ConfigurationError, match="one block"):
        batch.__enter__()


def test_other_threads_do_not_belong_to_it(app: TaskFlow, noop: Any) -> None:
    with app.batch():
        noop.delay(1)
        thread = threading.Thread(target=noop.delay, args=(2,))
        thread.start()
        thread.join()
        assert waiting(noop) == [2]
    assert waiting(noop) == [2, 1]


def test_from_coroutines(app: TaskFlow, noop: Any) -> None:
    """Those that are started in the block belong to it, until it ends."""

    async def later(ended: asyncio.Event) -> None:
        await ended.wait()
        await noop.adelay(4)

    async def main() -> None:
        ended = asyncio.Event()
        async with app.batch() as batch:
            await noop.adelay(1)
            await asyncio.gather(noop.adelay(2), asyncio.to_thread(noop.delay, 3))
            task = asyncio.create_task(later(ended))
            assert waiting(noop) == []
        assert len(batch.outcomes.results) == 3
        ended.set()
        await task
        await app.aclose()

    asyncio.run(main())
    assert sorted(waiting(noop)) == [1, 2, 3, 4]


def test_a_large_batch_tells_of_its_progress(app: TaskFlow, noop: Any) -> None:
    count = LARGEST_BULK + 300
    told: list[tuple[int, int | None]] = []
    with app.batch(progress=lambda *at: told.append(at)):
        for number in range(count):
            noop.delay(number)
    assert waiting(noop) == list(range(count))
    assert told[-1] == (count, count)
    assert len(told) > 2


def test_who_waits_for_a_replica_is_told(app: TaskFlow, noop: Any, url: str) -> None:
    with app.batch() as batch:
        handles = [noop.options(durable=number % 2 == 0).delay(number) for number in range(4)]
    has = "cluster" in url
    assert [handle.durable for handle in handles] == [has, None, has, None]
    assert len(batch.outcomes.results) == 4


def test_in_eager_mode_tasks_run_at_once() -> None:
    app = TaskFlow("eager", eager=True)
    ran: list[int] = []

    @app.task
    def note(number: int) -> None:
        ran.append(number)

    with app.batch() as batch:
        note.delay(1)
        assert ran == [1]
    assert len(batch.outcomes) == 0


@pytest.mark.parametrize("fate", [Fate.CLOSE, Fate.BEFORE, Fate.SILENT])
def test_a_lost_reply_costs_no_task_and_none_twice(valkey: Server, queue: str, fate: Fate) -> None:
    policy = Policy(random.Random(1), probability=0.15, kinds=(fate,), only=["enqueue"])
    proxy = Proxy(valkey.port, policy, random.Random(1))
    proxy.start()
    app, noop = tasks_of(f"redis://127.0.0.1:{proxy.port}?socket_timeout=0.4", queue)
    try:
        with app.batch():
            for number in range(2 * LARGEST_BULK):
                noop.delay(number)
        assert policy.faults("enqueue") > 0
    finally:
        app.close()
        proxy.stop()
    _, direct = tasks_of(valkey.url, queue)
    assert waiting(direct) == list(range(2 * LARGEST_BULK))
    direct._backend.close()


def test_a_broker_that_does_not_answer_is_an_error_of_each_call(queue: str) -> None:
    app, noop = tasks_of("redis://127.0.0.1:1", queue)
    with pytest.raises(EnqueueError) as caught, app.batch() as batch:  # noqa: PT012 - the block is what raises
        for _ in range(3):
            noop.options(enqueue_timeout=0.2).delay()
    assert isinstance(caught.value.__cause__, BrokerUnavailable)
    assert (
        len(
            {
                outcome.error.task_id
                for outcome in batch.outcomes
                if isinstance(outcome.error, BrokerUnavailable)
            }
        )
        == 3
    )


def test_the_master_of_one_of_its_queues_is_dead(cluster: Cluster, queue: str) -> None:
    """The others are not held up, and what was for the dead one goes to its successor."""
    cluster.heal()
    app, noop = tasks_of(cluster.url, queue)
    try:
        noop.delay(-1)
        queues = [queue, *(f"{queue}-{number}" for number in range(11))]
        victim = cluster.master_of(queue)
        assert victim.pid is not None
        with app.batch() as batch:
            for number in range(600):
                noop.options(queue=queues[number % 12]).delay(number)
            os.kill(victim.pid, signal.SIGKILL)
        assert len(batch.outcomes.results) == 600
        assert all(result.state == "pending" for result in batch.outcomes.results)
        with app.batch(raise_errors=False) as again:
            noop.delay(1)
        assert len(again.outcomes.results) == 1
    finally:
        app.close()
        cluster.heal()


def _slots(names: list[str]) -> set[int]:
    return {queue_keys(name).slot for name in names}


def test_its_name_is_public() -> None:
    assert type(TaskFlow("public").batch()) is Batch

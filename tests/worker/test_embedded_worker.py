"""A worker in a program's own event loop, on a real server."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from taskflow import Progress, State, TaskFlow, current_task
from taskflow.errors import BrokerUnavailable, InvalidOption, TaskCancelled, TaskTimeout
from tests.listening import kinds
from tests.servers import Server


def on_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in an event loop of its own."""

    @functools.wraps(test)
    def run(**given: Any) -> None:
        asyncio.run(test(**given))

    return run


class Shop:
    """An app of a test's own, and what its tasks saw."""

    def __init__(self, server: Server, queue: str, name: str = "embedded") -> None:
        self.app = TaskFlow(name, broker=server.url, queue=queue, retention=600, max_retries=0)
        self.seen: list[object] = []
        self.gate = threading.Event()

        @self.app.task(name=f"{name}:where")
        def where() -> str:
            return threading.current_thread().name

        @self.app.task(name=f"{name}:on_loop")
        async def on_loop() -> int:
            await asyncio.sleep(0)
            return id(asyncio.get_running_loop())

        @self.app.task(name=f"{name}:slow")
        async def slow(seconds: float) -> str:
            self.seen.append("started")
            try:
                await asyncio.sleep(seconds)
            except TaskCancelled:
                self.seen.append("cancelled")
                raise
            return current_task().id

        @self.app.task(name=f"{name}:blocked")
        def blocked() -> None:
            self.seen.append("started")
            try:
                while True:
                    time.sleep(0.01)
            except TaskCancelled:
                self.seen.append("cancelled")
                raise

        @self.app.task(name=f"{name}:late", timeout=1)
        async def late() -> str:
            try:
                await asyncio.sleep(60)
            except TaskTimeout:
                return "late"
            return "never"

        self.where, self.on_loop, self.slow, self.blocked, self.late = where, on_loop, slow, blocked, late


@pytest.fixture
def shop(valkey: Server, queue: str) -> Iterator[Shop]:
    shop = Shop(valkey, queue)
    yield shop
    shop.app.close()


async def started(shop: Shop, count: int = 1) -> None:
    async with asyncio.timeout(20):
        while shop.seen.count("started") < count:
            await asyncio.sleep(0.01)


@on_loop
async def test_coroutines_run_on_the_loop_and_functions_in_threads(shop: Shop) -> None:
    async with shop.app.worker() as worker:
        assert await (await shop.on_loop.adelay()).aget(20) == id(asyncio.get_running_loop())
        assert (await (await shop.where.adelay()).aget(20)).startswith("taskflow-")
        assert await (await shop.late.adelay()).aget(20) == "late"
        assert (worker.is_running, worker.is_healthy, worker.complaints) == (True, True, [])
        assert list(worker.queues) == [shop.where.queue]
    assert not worker.is_running
    assert not [one.name for one in threading.enumerate() if one.name.startswith("taskflow-")]


@on_loop
async def test_it_waits_for_what_runs_and_hands_back_nothing(shop: Shop) -> None:
    async with shop.app.worker() as worker:
        result = await shop.slow.adelay(0.5)
        await started(shop)
        assert worker.active == 1
    assert await result.astate() is State.COMPLETED


@pytest.mark.parametrize("kind", ["slow", "blocked"])
@on_loop
async def test_what_does_not_end_in_the_grace_is_cancelled_and_goes_back(shop: Shop, kind: str) -> None:
    """Only when it has ended: it must not run here and elsewhere at once."""
    result = await (shop.slow.adelay(60) if kind == "slow" else shop.blocked.adelay())
    async with shop.app.worker(grace=0.1):
        await started(shop)
    assert shop.seen == ["started", "cancelled"]
    assert await result.astate() is State.PENDING


@on_loop
async def test_it_is_quiet_and_goes_on(shop: Shop) -> None:
    async with shop.app.worker() as worker:
        worker.quiet()
        await asyncio.sleep(0.2)
        result = await shop.where.adelay()
        await asyncio.sleep(0.3)
        assert await result.astate() is State.PENDING
        worker.resume()
        assert await result.aget(20)


@on_loop
async def test_a_burst_ends_when_the_queues_are_empty(shop: Shop) -> None:
    results = [await shop.where.adelay() for _ in range(5)]
    async with shop.app.worker(burst=True) as worker:
        await worker.wait()
        assert not worker.is_running
        assert {await result.astate() for result in results} == {State.COMPLETED}


@on_loop
async def test_two_workers_and_two_apps_share_a_process(shop: Shop, valkey: Server, queue: str) -> None:
    """Nothing of the log listens any more when the last of them has ended."""
    other = Shop(valkey, f"{queue}-other", "other")
    before = {kind: kind.heard for kind in kinds()}
    try:
        async with shop.app.worker(concurrency=2), shop.app.worker(concurrency=2), other.app.worker():
            mine = [await shop.slow.adelay(0.2) for _ in range(8)]
            its = [await other.on_loop.adelay() for _ in range(3)]
            assert [await result.aget(20) for result in mine] == [result.id for result in mine]
            assert {await result.aget(20) for result in its} == {id(asyncio.get_running_loop())}
            assert {kind: kind.heard for kind in kinds()} != before
    finally:
        await other.app.aclose()
    assert {kind: kind.heard for kind in kinds()} == before


@on_loop
async def test_signals_and_the_environment_are_left_alone(shop: Shop) -> None:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    async with shop.app.worker():
        assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before
        assert "TASKFLOW_WORKER" not in os.environ
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before


@on_loop
async def test_a_broker_that_is_away_is_said_where_it_is_entered() -> None:
    app = TaskFlow("nowhere", broker="redis://127.0.0.1:1")
    with pytest.raises(BrokerUnavailable):
        async with app.worker():
            pass


@on_loop
async def test_what_cannot_be_is_refused(shop: Shop) -> None:
    with pytest.raises(InvalidOption, match="list of names"):
        shop.app.worker("mail")
    with pytest.raises(InvalidOption, match="weight"):
        shop.app.worker({"mail": 0})
    with pytest.raises(InvalidOption, match="concurrency"):
        shop.app.worker(concurrency=0)
    worker = shop.app.worker()
    async with worker:
        pass
    with pytest.raises(InvalidOption, match="runs once"):
        async with worker:
            pass


@on_loop
async def test_what_its_tasks_say_is_heard_and_what_hands_that_on_ends_with_it(shop: Shop) -> None:
    """The thread that gathers reports was there for as long as the program."""

    @shop.app.task(name="embedded:talks")
    async def talks() -> None:
        current_task().progress(1, 2)
        await asyncio.sleep(0.3)
        current_task().progress(2, 2)

    async with shop.app.worker():
        handle = await talks.adelay()
        done = [event.done async for event in handle.watch(10) if isinstance(event, Progress)]

    assert done == [1, 2]
    assert not [thread for thread in threading.enumerate() if thread.name == "taskflow-reports"]
    await shop.app.aclose()

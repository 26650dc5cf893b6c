"""Twenty real fetchers on a real server: a task wakes a few of them."""

from __future__ import annotations

import asyncio
import random
import time

import redis

from taskflow.broker.aio import AsyncBroker
from taskflow.broker.commands.dequeue import Taken
from taskflow.broker.commands.enqueue import NewTask, enqueue
from taskflow.broker.commands.finish import finish
from taskflow.clock import ServerClock
from taskflow.connection.aio import AsyncDriver
from taskflow.message.task_message import TaskMessage
from taskflow.states import Verb
from taskflow.worker.taking.fetcher import Fetcher
from taskflow.worker.taking.idle_backoff import IdleBackoff
from taskflow.worker.taking.slot_allocator import SlotAllocator
from tests.servers import Server
from tests.taking import ended

WORKERS = 20
WARM_UP, TASKS = 40, 30


def test_a_task_wakes_a_few_of_twenty_fetchers_and_is_taken_once(valkey: Server, queue: str) -> None:
    """All twenty woke for every task before: each waits by BLMOVE, which serves everybody who waits."""
    taken: list[str] = []

    async def scenario() -> float:
        brokers = [AsyncBroker(AsyncDriver(valkey.url)) for _ in range(WORKERS + 1)]
        fetchers = [
            _fetcher(queue, f"worker-{index}", broker, taken, index)
            for index, broker in enumerate(brokers[1:])
        ]
        for fetcher in fetchers:
            fetcher.start()
        try:
            before = 0
            for number in range(WARM_UP + TASKS):
                if number == WARM_UP:
                    before = _waits(valkey)
                await _one(queue, brokers[0], f"task-{number}", taken)
            return (_waits(valkey) - before) / TASKS
        finally:
            for fetcher in fetchers:
                await fetcher.stop()
            for broker in brokers:
                await broker.close()

    waits = asyncio.run(scenario())

    assert taken == [f"task-{number}" for number in range(WARM_UP + TASKS)]
    assert waits < 0.6 * WORKERS


def _fetcher(queue: str, owner: str, broker: AsyncBroker, taken: list[str], seed: int) -> Fetcher:
    def take(_: str, tasks: list[Taken]) -> None:
        taken.extend(task.id for task in tasks)
        verdicts = [ended(task, Verb.DONE) for task in tasks]
        writing.add(asyncio.ensure_future(broker.run(finish(queue, verdicts, time.time()), 5)))

    writing: set[asyncio.Future[list[int]]] = set()
    allocator = SlotAllocator({queue: 1}, strict=False, room=lambda: 1, most=1)
    backoff = IdleBackoff(random.Random(seed))
    return Fetcher(queue, owner, broker, allocator, take, lambda _: set(), ServerClock(), backoff)


async def _one(queue: str, broker: AsyncBroker, task_id: str, taken: list[str]) -> None:
    """Enqueue one, and wait until it was taken and all who were woken in vain have gone back."""
    message = TaskMessage(type="t", payload=b"", id=task_id, queue=queue, timeout=60)
    await broker.run(enqueue(queue, [NewTask(message)]), 5)
    deadline = time.monotonic() + 10
    while task_id not in taken:
        assert time.monotonic() < deadline, "the task is taken"
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)


def _waits(valkey: Server) -> int:
    with redis.Redis(host="127.0.0.1", port=valkey.port) as client:
        return int(client.info("commandstats")["cmdstat_blmove"]["calls"])

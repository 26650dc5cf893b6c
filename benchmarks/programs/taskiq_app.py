"""taskiq on a Redis list, the faster of its brokers: nothing is acknowledged."""

from __future__ import annotations

import side
from taskiq import AsyncBroker
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

broker: AsyncBroker = ListQueueBroker(side.URL, queue_name=side.QUEUE)
if side.RESULTS:
    broker = broker.with_result_backend(RedisAsyncResultBackend(side.URL, result_ex_time=60))


@broker.task(task_name="noop")
async def noop() -> None: ...


@broker.task(task_name="sleep")
async def sleep() -> None:
    await side.asleep()


@broker.task(task_name="cpu")
async def cpu() -> None:
    side.cpu()


@broker.task(task_name="mark")
async def mark(sent: int) -> None:
    side.mark(sent)


@broker.task(task_name="value")
async def value() -> int:
    return 1


KINDS = {"noop": noop, "anoop": noop, "sleep": sleep, "cpu": cpu}


class Client:
    async def open(self) -> None:
        await broker.startup()

    async def one(self, kind: str) -> None:
        await KINDS[kind].kiq()

    async def ping(self, sent: int) -> None:
        await mark.kiq(sent)

    async def value(self) -> None:
        task = await value.kiq()
        assert (await task.wait_result(check_interval=0.001, timeout=10)).return_value == 1

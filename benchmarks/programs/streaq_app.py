"""streaQ. Results of no-ops are not kept."""

from __future__ import annotations

import side
from streaq import Worker

CHUNK = 1000
worker = Worker(
    redis_url=side.URL,
    queue_name=side.QUEUE,
    concurrency=side.setting_number(),
    anyio_kwargs={"use_uvloop": True},
)


@worker.task(ttl=0)
async def noop() -> None: ...


@worker.task(ttl=0)
async def sleep() -> None:
    await side.asleep()


@worker.task(ttl=0)
async def cpu() -> None:
    side.cpu()


@worker.task(ttl=0)
async def mark(sent: int) -> None:
    side.mark(sent)


@worker.task(ttl=60)
async def value() -> int:
    return 1


KINDS = {"noop": noop, "anoop": noop, "sleep": sleep, "cpu": cpu}


class Client:
    async def open(self) -> None:
        await worker.__aenter__()

    async def one(self, kind: str) -> None:
        await KINDS[kind].enqueue()

    async def many(self, kind: str, count: int) -> None:
        function = KINDS[kind]
        for start in range(0, count, CHUNK):
            await worker.enqueue_many([function.enqueue() for _ in range(min(CHUNK, count - start))])

    async def ping(self, sent: int) -> None:
        await mark.enqueue(sent)

    async def value(self) -> None:
        task = await value.enqueue()
        assert (await task.result(timeout=10)).result == 1

"""SAQ. Results of no-ops are not kept."""

from __future__ import annotations

from typing import Any

import side
from saq import Queue

queue = Queue.from_url(side.URL, name=side.QUEUE)


async def noop(_: Any) -> None: ...


async def sleep(_: Any) -> None:
    await side.asleep()


async def cpu(_: Any) -> None:
    side.cpu()


async def mark(_: Any, *, sent: int) -> None:
    side.mark(sent)


async def value(_: Any) -> int:
    return 1


settings = {
    "queue": queue,
    "functions": [noop, sleep, cpu, mark, value],
    "concurrency": side.setting_number(),
}


class Client:
    async def open(self) -> None:
        await queue.connect()

    async def one(self, kind: str) -> None:
        await queue.enqueue(side.pick(side.COROUTINES, kind), ttl=-1)

    async def ping(self, sent: int) -> None:
        await queue.enqueue("mark", sent=sent, ttl=-1)

    async def value(self) -> None:
        assert await queue.apply("value", timeout=10, ttl=60) == 1

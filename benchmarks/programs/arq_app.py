"""arq. It polls, so the pause between two looks is set to 5 ms where its default is half a second."""

from __future__ import annotations

from typing import Any

import side
from arq import create_pool, func
from arq.connections import RedisSettings

POLL = 0.005
settings = RedisSettings(port=side.PORT)


async def noop(_: Any) -> None: ...


async def sleep(_: Any) -> None:
    await side.asleep()


async def cpu(_: Any) -> None:
    side.cpu()


async def mark(_: Any, sent: int) -> None:
    side.mark(sent)


async def value(_: Any) -> int:
    return 1


class WorkerSettings:
    functions = (noop, sleep, cpu, mark, func(value, keep_result=60))
    redis_settings = settings
    max_jobs = side.setting_number()
    poll_delay = POLL
    keep_result = 0
    log_results = False


class Client:
    async def open(self) -> None:
        self.pool = await create_pool(settings)

    async def one(self, kind: str) -> None:
        await self.pool.enqueue_job(side.pick(side.COROUTINES, kind))

    async def ping(self, sent: int) -> None:
        await self.pool.enqueue_job("mark", sent)

    async def value(self) -> None:
        job = await self.pool.enqueue_job("value")
        assert job is not None
        assert await job.result(timeout=10, poll_delay=POLL) == 1

"""docket. Records of executed no-ops are not kept."""

from __future__ import annotations

from datetime import timedelta

import side
from docket import Docket


async def noop() -> None: ...


async def sleep() -> None:
    await side.asleep()


async def cpu() -> None:
    side.cpu()


async def mark(sent: int) -> None:
    side.mark(sent)


async def value() -> int:
    return 1


tasks = [noop, sleep, cpu, mark, value]
KINDS = {"noop": noop, "anoop": noop, "sleep": sleep, "cpu": cpu}


class Client:
    async def open(self) -> None:
        kept = timedelta(seconds=60) if side.RESULTS else timedelta(0)
        self.docket = Docket(name=side.QUEUE, url=side.URL, execution_ttl=kept)
        await self.docket.__aenter__()
        for task in tasks:
            self.docket.register(task)

    async def one(self, kind: str) -> None:
        await self.docket.add(KINDS[kind])()

    async def many(self, kind: str, count: int) -> None:
        function = KINDS[kind]
        await self.docket.add_many(self.docket.call(function)() for _ in range(count))

    async def ping(self, sent: int) -> None:
        await self.docket.add(mark)(sent)

    async def value(self) -> None:
        execution = await self.docket.add(value)()
        assert await execution.get_result(timeout=timedelta(seconds=10)) == 1

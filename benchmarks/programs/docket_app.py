"""docket. Records of executed no-ops are not kept.

python docket_app.py      runs a worker (its own command takes whole seconds only)
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import side
from docket import Docket, Worker


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


def docket() -> Docket:
    kept = timedelta(seconds=60) if side.RESULTS else timedelta(0)
    made = Docket(name=side.QUEUE, url=side.URL, execution_ttl=kept)
    for task in tasks:
        made.register(task)
    return made


class Client:
    async def open(self) -> None:
        self.docket = docket()
        await self.docket.__aenter__()

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


async def main() -> None:
    async with docket() as opened:
        check = timedelta(milliseconds=5)
        async with Worker(opened, concurrency=side.setting_number(), minimum_check_interval=check) as worker:
            await worker.run_forever()


if __name__ == "__main__":
    asyncio.run(main())

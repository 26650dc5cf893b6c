"""How many connections a program holds."""

from __future__ import annotations

import asyncio

import pytest
import redis

from taskflow.broker.aio import AsyncBroker
from taskflow.broker.command import Plain
from taskflow.connection import aio
from tests.servers import Server

NAME = "held-by-a-test"


def test_connections_that_a_burst_needed_are_not_held_for_ever(
    valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle worker held as many as its loops had needed at its start: 37 on a node with six partitions."""
    name = Plain(("CLIENT", "SETNAME", NAME), bytes)

    def held() -> int:
        with redis.Redis(host="127.0.0.1", port=valkey.port) as client:
            return sum(one["name"] == NAME for one in client.client_list())

    async def scenario() -> tuple[int, int]:
        broker = AsyncBroker(aio.AsyncDriver(f"redis://127.0.0.1:{valkey.port}"))
        try:
            await asyncio.gather(*(broker.run(name, 5) for _ in range(20)))
            after_burst = held()
            monkeypatch.setattr(aio, "IDLE_SECONDS", 0.0)
            for _ in range(30):
                await broker.run(name, 5)
            return after_burst, held()
        finally:
            await broker.close()

    after_burst, later = asyncio.run(scenario())

    assert after_burst > 10
    assert later <= 2

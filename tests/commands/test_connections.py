"""How many connections a program holds."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from taskflow.broker.aio import AsyncBroker
from taskflow.broker.command import Plain
from taskflow.broker.sync import Broker
from taskflow.connection import driver
from taskflow.connection.aio import AsyncDriver
from taskflow.connection.sync import SyncDriver
from tests.servers import Server

NAME = "held-by-a-test"
NAMED = Plain(("CLIENT", "SETNAME", NAME), bytes)


def without_login(server: Server) -> str:
    """Whoever has one may not give connections a name."""
    return f"redis://127.0.0.1:{server.port}"


def held(server: Server) -> int:
    """The connections of the test."""
    with redis.Redis(host="127.0.0.1", port=server.port) as client:
        return sum(one["name"] == NAME for one in client.client_list())


def test_connections_that_a_burst_needed_are_not_held_for_ever(
    valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle worker held as many as its loops had needed at its start: 37 on a node with six partitions."""

    async def scenario() -> tuple[int, int]:
        broker = AsyncBroker(AsyncDriver(without_login(valkey)))
        try:
            await asyncio.gather(*(broker.run(NAMED, 5) for _ in range(20)))
            after_burst = held(valkey)
            monkeypatch.setattr(driver, "IDLE_SECONDS", 0.0)
            for _ in range(30):
                await broker.run(NAMED, 5)
            return after_burst, held(valkey)
        finally:
            await broker.close()

    after_burst, later = asyncio.run(scenario())

    assert after_burst > 10
    assert later <= 2


def test_nor_are_those_that_a_burst_of_threads_needed(
    valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker(SyncDriver(without_login(valkey)))
    together = threading.Barrier(20)
    paused = Plain(("CLIENT", "PAUSE", 200), bytes)

    def run(_: int) -> None:
        together.wait(10)
        broker.run(NAMED, 5)

    broker.run(paused, 5)  # so that they are all under way at once
    with ThreadPoolExecutor(20) as threads:
        list(threads.map(run, range(20)))
    after_burst = held(valkey)
    monkeypatch.setattr(driver, "IDLE_SECONDS", 0.0)
    for _ in range(30):
        broker.run(NAMED, 5)
    later = held(valkey)
    broker.close()

    assert after_burst > 10
    assert later <= 2

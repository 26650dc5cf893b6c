"""More queues than connections: who waits on one, how the others hear of their tasks, and how many commands are under way."""

from __future__ import annotations

import asyncio
import resource
from typing import Any

import pytest

from taskflow.broker.aio import AsyncBroker
from taskflow.broker.command import Plain
from taskflow.connection.aio import AsyncDriver
from taskflow.errors import BrokerUnavailable, ConfigurationError
from taskflow.worker import descriptors
from taskflow.worker.loops.narrow import NarrowBroker
from taskflow.worker.taking import places
from taskflow.worker.taking.places import MOST, Places, RollCall
from taskflow.worker.timings import Timings
from tests.servers import Server, until


def test_the_queues_that_were_busy_last_have_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "KEPT_SECONDS", 0.0)
    seats = Places(2)
    assert seats.has("a")
    assert seats.has("b")
    assert seats.has("a"), "again"
    assert not seats.has("c")
    seats.busy("a")
    seats.busy("c")
    assert not seats.has("b"), "it was idle for the longest time"
    assert not seats.has("c"), "not before it has closed its own"
    seats.left("b")
    assert seats.has("c")
    assert not seats.has("b")


def test_a_connection_is_not_changed_for_every_task() -> None:
    seats = Places(1)
    assert seats.has("a")
    seats.busy("a")
    seats.busy("b")
    assert seats.has("a")


def test_a_queue_without_a_connection_is_told_of_its_tasks(own_server: Server) -> None:
    async def scene() -> None:
        broker = AsyncBroker(AsyncDriver(own_server.url))
        roll_call = RollCall(broker)
        roll_call.timings = Timings(roll_call=0.05)
        roll_call.start()
        waits = {name: asyncio.ensure_future(roll_call.wait(name)) for name in ("a", "b", "c")}
        await asyncio.sleep(0.2)
        assert not any(wait.done() for wait in waits.values())
        await broker.run(Plain(("LPUSH", "asynq:{b}:pending", "x"), int))
        await until(waits["b"].done)
        assert not waits["a"].done()
        waits["a"].cancel()
        await until(lambda: waits["a"].done())
        assert list(roll_call._absent) == ["c"]
        waits["c"].cancel()
        await roll_call.stop()
        await broker.close()

    asyncio.run(scene())


class Slow(AsyncDriver):
    """A driver that counts what is under way, and whose commands last as long as they are told to."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.under_way = self.most = 0
        self.go = asyncio.Event()

    async def execute(self, requests: Any, timeout: float, meanwhile: Any = None) -> list[Any]:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.go.wait()
            return [1 for _ in requests]
        finally:
            self.under_way -= 1


def test_so_many_commands_are_under_way_to_one_node_and_each_waits_no_longer_than_its_timeout() -> None:
    async def scene() -> None:
        driver = Slow("redis://127.0.0.1:1")
        broker = NarrowBroker(driver, 3)
        command = Plain(("PING",), bytes)
        going = [asyncio.ensure_future(broker.run(command, 30)) for _ in range(10)]
        await asyncio.sleep(0.05)
        assert driver.under_way == 3
        with pytest.raises(BrokerUnavailable, match="commands before this one"):
            await broker.run(command, 0.05)
        going.pop().cancel()
        driver.go.set()
        await asyncio.gather(*going)
        assert driver.most == 3

    asyncio.run(scene())


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The soft and the hard limit on open files, of nobody real."""
    values = [1024, 4096]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(values))
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: values.__setitem__(slice(None), new))
    return values


def test_the_limit_on_open_files_is_raised_where_it_is_needed(limits: list[int]) -> None:
    assert descriptors.places(queues=1000, nodes=1, children=1) == MOST
    assert limits == [1024, 4096], "it was enough"
    assert descriptors.places(queues=1000, nodes=30, children=8) == MOST
    assert 1024 < limits[0] <= 4096


def test_with_few_open_files_fewer_queues_wait_and_with_too_few_the_start_is_refused(
    limits: list[int],
) -> None:
    limits[:] = [64, 256]
    assert 50 < descriptors.places(queues=1000, nodes=1, children=1) < 200
    assert limits == [256, 256]
    limits[:] = [100, 100]
    with pytest.raises(ConfigurationError, match="the limit is 100"):
        descriptors.places(queues=1000, nodes=1, children=1)
    assert descriptors.places(queues=1, nodes=1, children=1) >= 1

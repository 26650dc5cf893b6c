"""A server that says nothing: its silence is no reply, and what it says later answers nobody else's question."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskflow.broker.aio import AsyncBroker
from taskflow.broker.command import Plain, same
from taskflow.broker.sync import Broker
from taskflow.connection.aio import AsyncDriver
from taskflow.connection.sync import SyncDriver
from taskflow.connection.waiting import ListWatch
from taskflow.errors import BrokerUnavailable
from tests.servers import Server

SILENCE = "?socket_timeout=0.3"


def echo(text: str) -> Plain[Any]:
    return Plain(("ECHO", text), same)


@pytest.fixture(params=["sync", "aio"])
def run(request: pytest.FixtureRequest, own_server: Server) -> Iterator[Callable[[Any, float], Any]]:
    """Runs a command within so many seconds, by either driver."""
    if request.param == "sync":
        broker = Broker(SyncDriver(own_server.url + SILENCE))
        yield broker.run
        broker.close()
        return
    with asyncio.Runner() as runner:
        async_broker = AsyncBroker(AsyncDriver(own_server.url + SILENCE))
        yield lambda command, timeout: runner.run(async_broker.run(command, timeout))
        runner.run(async_broker.close())


def test_silence_is_no_reply_and_a_late_reply_is_nobody_elses(
    own_server: Server, run: Callable[[Any, float], Any]
) -> None:
    """redis-py's asyncio connection answers None when a given timeout passes. It was taken for an empty reply, and
    the connection was kept: from then on each command was given the reply to the one before it.
    """
    assert run(echo("one"), 5) == b"one"
    os.kill(own_server.process.pid, signal.SIGSTOP)
    with pytest.raises(BrokerUnavailable):
        run(echo("two"), 1)
    os.kill(own_server.process.pid, signal.SIGCONT)
    assert [run(echo(text), 5) for text in ("three", "four")] == [b"three", b"four"]


def test_a_silent_server_is_asked_again_until_the_deadline(
    own_server: Server, run: Callable[[Any, float], Any]
) -> None:
    assert run(echo("one"), 5) == b"one"
    os.kill(own_server.process.pid, signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        run(echo("two"), 2)
    assert time.monotonic() - began > 1, "it gave up after the first silence"


def test_a_wait_on_a_dead_connection_is_not_taken_for_an_empty_queue(own_server: Server) -> None:
    async def wait() -> None:
        driver = AsyncDriver(own_server.url)
        watch = ListWatch(driver, 0, "list")
        assert await watch.wait(0.1) is False, "the server says that there was nothing"
        os.kill(own_server.process.pid, signal.SIGSTOP)
        with pytest.raises(BrokerUnavailable):
            await watch.wait(0.1)
        topology = await driver.open()
        assert topology.owner(0) in topology.silent, (
            "whoever is to ask there next need not find out by himself"
        )
        await driver.close()

    asyncio.run(wait())

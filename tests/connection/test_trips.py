"""Trips side by side, by threads and by coroutines: how a trip goes is written once, how either of them waits is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import redis

from taskflow.connection.aio import AsyncDriver
from taskflow.connection.coroutines import complete
from taskflow.connection.driver import Driver
from taskflow.connection.steps import Broken, Trip
from taskflow.connection.sync import SyncDriver
from tests.servers import Server, wait_until

NAME = "of-a-trip"

Command = tuple[Any, ...]


class Stop(BaseException):
    """As Ctrl-C is one."""


class Crew:
    """A driver of one kind, what it is awaited by, and trips of it to one server."""

    def __init__(self, driver: Driver, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self.driver = driver
        self.run = run

    async def travel(self, *trips: list[Command], seconds: float = 10.0, meanwhile: Any = None) -> list[Any]:
        """Each pipeline goes on a connection of its own."""
        (address,) = (await self.driver._resolved()).masters()
        deadline = time.monotonic() + seconds
        return await self.driver._travel([Trip(address, trip) for trip in trips], deadline, meanwhile)

    async def wait_until(self, ready: Callable[[], bool], *, description: str) -> None:
        """The event loop, where there is one, goes on meanwhile."""
        if isinstance(self.driver, AsyncDriver):
            await asyncio.to_thread(wait_until, ready, description=description)
        else:
            wait_until(ready, description=description)

    def idle(self) -> int:
        return sum(len(pool) for pool in self.driver._pools.values())


@pytest.fixture(params=["threads", "coroutines"])
def crew(request: pytest.FixtureRequest, valkey: Server) -> Crew:
    url = f"redis://127.0.0.1:{valkey.port}"
    return (
        Crew(SyncDriver(url), complete) if request.param == "threads" else Crew(AsyncDriver(url), asyncio.run)
    )


def named(valkey: Server) -> int:
    """The connections that have the name of these tests."""
    with redis.Redis(host="127.0.0.1", port=valkey.port) as client:
        return sum(one["name"] == NAME for one in client.client_list())


def test_all_are_sent_before_any_is_waited_for(crew: Crew, queue: str) -> None:
    """A node that takes its time must not hold up the others. Here the first even waits for what the second brings."""

    async def scene() -> list[Any]:
        answers = await crew.travel([("BLPOP", queue, 5)], [("RPUSH", queue, "a", "b"), ("DEL", queue)])
        crew.driver._drop_idle()
        return answers

    assert crew.run(scene()) == [[[queue.encode(), b"a"]], [2, 1]]


def test_what_is_done_meanwhile_is_done_once_while_all_are_under_way(
    crew: Crew, queue: str, valkey: Server
) -> None:
    done: list[int] = []

    def meanwhile() -> None:
        with redis.Redis(host="127.0.0.1", port=valkey.port) as client:
            done.append(client.rpush(queue, "a", "b"))

    async def scene() -> list[Any]:
        await crew.travel([("PING",)], [("PING",)])  # connected, so that they can be sent at once
        answers = await crew.travel([("BLPOP", queue, 5)], [("BLPOP", queue, 5)], meanwhile=meanwhile)
        crew.driver._drop_idle()
        return answers

    assert crew.run(scene()) == [[[queue.encode(), b"a"]], [[queue.encode(), b"b"]]]
    assert done == [2]


def test_trips_that_are_broken_off_leave_no_connection_on_which_a_reply_is_to_come(
    crew: Crew, valkey: Server
) -> None:
    """Ctrl-C, or whatever the next bulk raises while it is made. The reply would be taken for that of the next command."""
    name = ("CLIENT", "SETNAME", NAME)

    def stop() -> None:
        raise Stop

    async def scene() -> None:
        await crew.travel([name], [name], [name])
        assert (crew.idle(), named(valkey)) == (3, 3)
        with pytest.raises(Stop) as caught:
            await crew.travel([("ECHO", "1")], [("ECHO", "2")], meanwhile=stop)
        if isinstance(crew.driver, AsyncDriver):
            await asyncio.sleep(0)  # they are cancelled
        # Nothing has been left to the collector: what was broken off is in the traceback that is held here.
        assert caught.traceback
        assert crew.idle() == 1
        await crew.wait_until(lambda: named(valkey) == 1, description="the others are closed")
        assert await crew.travel([("ECHO", "3")]) == [[b"3"]]
        crew.driver._drop_idle()

    crew.run(scene())


def test_a_thread_that_is_interrupted_while_it_reads_gives_up_what_it_has_not_read(
    valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(Coroutines read side by side, and each is cancelled by itself.)"""
    crew = Crew(SyncDriver(f"redis://127.0.0.1:{valkey.port}"), complete)
    name = ("CLIENT", "SETNAME", NAME)
    complete(crew.travel([name], [name]))
    (pool,) = crew.driver._pools.values()

    def interrupted(*_: Any) -> None:
        raise Stop

    monkeypatch.setattr(pool[-1], "read", interrupted)
    with pytest.raises(Stop) as caught:
        complete(crew.travel([("ECHO", "1")], [("ECHO", "2")]))
    assert caught.traceback, "nothing has been left to the collector"
    assert crew.idle() == 0
    wait_until(lambda: named(valkey) == 0, description="both are closed")


def test_a_trip_that_breaks_keeps_the_replies_before_and_the_idle_connections_go_too(crew: Crew) -> None:
    async def scene() -> Any:
        await crew.travel([("PING",)], [("PING",)], [("PING",)])
        (broken,) = await crew.travel([("ECHO", "1"), ("BLPOP", "nothing", 5), ("ECHO", "3")], seconds=0.2)
        assert crew.idle() == 0
        return broken

    broken = crew.run(scene())

    assert isinstance(broken, Broken)
    assert (broken.sent, broken.replies) == (True, [b"1"])


def test_nothing_was_sent_where_nobody_takes_connections(crew: Crew) -> None:
    async def scene() -> Any:
        await crew.driver._resolved()
        return (await crew.driver._travel([Trip(("127.0.0.1", 1), [("PING",)])], time.monotonic() + 5))[0]

    broken = crew.run(scene())

    assert isinstance(broken, Broken)
    assert not broken.sent

"""A connection that the node has closed while it was idle: nothing is sent there, so nothing is in doubt."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import redis

from taskflow.broker.aio import AsyncBroker
from taskflow.broker.sync import Broker
from taskflow.connection.aio import AsyncDriver
from taskflow.connection.reply_reader import LOOK_AFTER
from taskflow.connection.sync import SyncDriver
from tests.servers import Server, wait_until


@dataclass
class Ping:
    """A request that writes down whether it was sent as one of which an earlier copy may have run."""

    resent: list[bool] = field(default_factory=list)
    name = "PING"
    slot = None
    node = None
    durable = False
    movable = False
    first_wire = None

    def wire(self, *, full: bool, resent: bool) -> tuple[Any, ...]:
        self.resent.append(resent)
        return ("PING",)

    def parse(self, reply: Any) -> Any:
        return reply


def close_all(raw: redis.Redis) -> None:
    """The server closes every other connection."""
    mine = raw.client_id()
    raw.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    wait_until(lambda: [one["id"] for one in raw.client_list()] == [str(mine)], description="all are closed")


def test_threads_make_a_new_connection_and_send_once(valkey: Server, raw: redis.Redis) -> None:
    broker = Broker(SyncDriver(valkey.url))
    ping = Ping()
    assert broker.run_many([ping]) == [b"PONG"]
    close_all(raw)
    time.sleep(LOOK_AFTER)  # what was in use a moment ago is not looked at
    assert broker.run_many([ping]) == [b"PONG"]
    assert ping.resent == [False, False]
    broker.close()


def test_what_was_in_use_a_moment_ago_is_sent_again(valkey: Server, raw: redis.Redis) -> None:
    broker = Broker(SyncDriver(valkey.url))
    ping = Ping()
    assert broker.run_many([ping]) == [b"PONG"]
    close_all(raw)
    for connection in broker.driver._pools[broker.driver.topology.masters()[0]]:
        connection.used_at = time.monotonic()
    assert broker.run_many([ping]) == [b"PONG"]
    assert ping.resent == [False, False, True]
    broker.close()


def test_coroutines_make_a_new_connection_and_send_once(valkey: Server, raw: redis.Redis) -> None:
    async def scene() -> None:
        broker = AsyncBroker(AsyncDriver(valkey.url))
        ping = Ping()
        assert await broker.run_many([ping]) == [b"PONG"]
        await asyncio.to_thread(close_all, raw)
        await asyncio.sleep(0.05)  # the loop hears of it
        assert await broker.run_many([ping]) == [b"PONG"]
        assert ping.resent == [False, False]
        await broker.close()

    asyncio.run(scene())

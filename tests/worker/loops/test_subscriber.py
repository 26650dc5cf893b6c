"""What the loop on the channels does not miss."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest
import redis

from taskflow.broker.aio import AsyncBroker
from taskflow.broker.keys import CANCEL_CHANNEL
from taskflow.connection.aio import AsyncDriver
from taskflow.connection.waiting import AsyncListener
from taskflow.worker.loops import subscriber as subscriber_module
from taskflow.worker.loops.subscriber import CATCH_UP_SECONDS, Subscriber
from tests.servers import Server, until


class Heard:
    """In place of what tells the children: what was said on Go's channel."""

    def __init__(self) -> None:
        self.ids: list[bytes] = []

    def heard_of_go(self, said: bytes) -> None:
        self.ids.append(said)

    def heard(self, queue: str, said: bytes) -> None:
        """Nobody says anything there."""


def test_what_is_said_just_before_a_sign_of_life_is_heard(
    valkey: Server, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was taken for that sign: the worker learned of the cancel when it extended its leases, seconds later."""
    monkeypatch.setattr(subscriber_module, "WAIT_SECONDS", 0.1)
    ping, said = AsyncListener.ping, []

    async def ping_late(listener: AsyncListener) -> None:
        if not said:
            said.append("task-1")
            raw.publish(CANCEL_CHANNEL, "task-1")
        await ping(listener)

    monkeypatch.setattr(AsyncListener, "ping", ping_late)

    async def nothing() -> None:
        """Nothing was missed."""

    async def scene() -> None:
        broker, heard = AsyncBroker(AsyncDriver(valkey.url)), Heard()
        subscriber = Subscriber(broker, cast("Any", heard), nothing)
        subscriber.start()
        await until(lambda: heard.ids)
        await subscriber.stop()
        await broker.close()
        assert heard.ids == [b"task-1"]

    asyncio.run(scene())


def test_what_was_cancelled_before_a_late_subscription_began_is_read(
    valkey: Server, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is busy may begin to tell us long after it was asked to; what was read before that is not all."""
    subscribe, began, reads = AsyncListener.subscribe, [], []

    async def subscribe_late(listener: AsyncListener, channels: Iterable[str], *, ends: bool = False) -> None:
        names = list(channels)

        async def later() -> None:
            await until(lambda: reads)
            await asyncio.sleep(2 * CATCH_UP_SECONDS)
            began.append(len(reads))
            await subscribe(listener, names, ends=ends)

        tasks.append(asyncio.create_task(later()))

    tasks: list[asyncio.Task[None]] = []
    monkeypatch.setattr(AsyncListener, "subscribe", subscribe_late)

    async def read() -> None:
        reads.append(1)

    async def scene() -> None:
        broker = AsyncBroker(AsyncDriver(valkey.url))
        subscriber = Subscriber(broker, cast("Any", Heard()), read)
        subscriber.add(queue, lambda at: None)
        subscriber.start()
        await until(lambda: began and len(reads) > began[0])
        await subscriber.stop()
        await broker.close()

    asyncio.run(scene())

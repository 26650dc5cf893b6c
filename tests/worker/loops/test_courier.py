"""What the courier keeps of followers that are on their way."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from taskflow.broker.commands.outbox import Entry
from taskflow.clock import ServerClock
from taskflow.message.outcome import FollowUp
from taskflow.worker.loops import courier as courier_module
from taskflow.worker.loops.courier import Courier
from taskflow.worker.loops.delivery import Delivery

MESSAGE = b"m" * 1000


class Slow(Delivery):
    """Queues that take what they are brought when they are told to."""

    def __init__(self) -> None:
        super().__init__(cast("Any", None))
        self.takes = asyncio.Event()
        self.brought: list[str] = []

    async def bring(self, queue: str, entries: Any, seen_at: float, server_time: float) -> list[str]:
        await self.takes.wait()
        self.brought += [entry.name for entry in entries]
        return [entry.name for entry in entries]

    async def confirm(self, home: str, entries: Any) -> None:
        """They are."""


def test_followers_for_a_queue_that_does_not_answer_take_a_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten thousand followers of a megabyte each would have been kept in memory, while they lie in the outbox anyway."""
    monkeypatch.setattr(courier_module, "MOST_BYTES", 10 * len(MESSAGE))

    async def scene() -> None:
        delivery = Slow()
        courier = Courier(delivery, ServerClock())
        entries = [Entry(f"n{n}", FollowUp(f"q{n % 2}", f"id{n}", MESSAGE)) for n in range(30)]
        courier.add("home", entries)
        assert courier._bytes == 10 * len(MESSAGE)
        await asyncio.sleep(0)
        delivery.takes.set()
        assert await courier.drain(5)
        assert sorted(delivery.brought) == sorted(f"n{n}" for n in range(10))
        assert courier._bytes == 0

    asyncio.run(scene())

"""Waiting without a connection for each queue: so many queues have one, all others are asked in turn.

A queue that waits holds a connection. With a thousand queues that is a thousand descriptors, which many systems do not give, and
as many clients of the server. So a bounded number has one: those that were busy last. A task that comes to one of the others is
found within a second.
"""

from __future__ import annotations

import asyncio
import random
import time

from ...broker.aio import AsyncBroker
from ...broker.commands.dequeue import backlog
from ...errors import BrokerError
from ..service import Service

MOST = 200
"""Waiting connections of one worker."""

KEPT_SECONDS = 5.0
"""So long a queue keeps its connection at least after a task: to change one costs more than it saves."""

TIMEOUT = 1.0
"""Of one round: a node that does not answer must not keep the others' queues waiting."""

PIPELINE = 250


class Places:
    """Who waits on a connection (no I/O).

    Args:
        most: how many may.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._holders: dict[str, float] = {}
        """When each was busy last, the longest ago first."""
        self._leaving: set[str] = set()

    def has(self, queue: str) -> bool:
        """Whether this queue may wait on a connection. It gets a place if one is free."""
        if queue in self._leaving:
            return False
        if queue in self._holders:
            return True
        if len(self._holders) >= self._most:
            return False
        self._holders[queue] = 0.0
        return True

    def busy(self, queue: str) -> None:
        """It had tasks: whoever has had none for the longest time makes room for it."""
        now = time.monotonic()
        if queue in self._holders and queue not in self._leaving:
            del self._holders[queue]
            self._holders[queue] = now
        elif len(self._holders) >= self._most:
            oldest = next((one for one in self._holders if one not in self._leaving), None)
            if oldest is not None and now - self._holders[oldest] > KEPT_SECONDS:
                self._leaving.add(oldest)

    def left(self, queue: str) -> None:
        """Its connection is closed."""
        self._holders.pop(queue, None)
        self._leaving.discard(queue)


class RollCall(Service):
    """Asks for all queues without a waiting connection, once a second, whether there is something in them: in pipelines.

    Args:
        broker: where they are.
    """

    name = "roll call"

    def __init__(self, broker: AsyncBroker) -> None:
        super().__init__()
        self._broker = broker
        self._absent: dict[str, asyncio.Future[None]] = {}

    async def wait(self, queue: str) -> None:
        """Return when there may be something in this queue."""
        called = asyncio.get_running_loop().create_future()
        self._absent[queue] = called
        try:
            await called
        finally:
            if self._absent.get(queue) is called:
                del self._absent[queue]

    async def tick(self) -> float:
        """One round."""
        failed: BrokerError | None = None
        queues = list(self._absent)
        for start in range(0, len(queues), PIPELINE):
            part = queues[start : start + PIPELINE]
            replies = await self._broker.run_many([backlog(queue) for queue in part], TIMEOUT)
            for queue, reply in zip(part, replies, strict=True):
                if isinstance(reply, BrokerError):
                    failed = failed or reply
                elif reply and (called := self._absent.get(queue)) is not None and not called.done():
                    called.set_result(None)
        if failed is not None:
            raise failed
        return random.uniform(0.8, 1.0) * self.timings.roll_call

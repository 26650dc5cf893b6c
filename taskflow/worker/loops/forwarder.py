"""Moves what is due from scheduled and retry to pending: just after each second of the server's clock, and when the next task
that it knows of is due.
"""

from __future__ import annotations

import asyncio

from ...broker.aio import AsyncBroker
from ...broker.commands.maintenance import BATCH, forward
from ...clock import ServerClock
from ..service import TIMEOUT, Service
from ..taking.idle_backoff import IdleBackoff

AFTER_TICK = 0.02
"""Go's programs write whole seconds, so what they and others have written since is found by a look at each. What comes due
before the next one is told (see `Forwarder.tell`).
"""

LEAST = 0.005
"""Seconds between two looks at least, for a lone worker; in a crowd, more."""


class Forwarder(Service):
    """The loop of one queue.

    Args:
        queue: its name.
        broker: where it is.
        clock: is told the server's time.
        backoff: of the workers on the queue. Where they are many, some look each second, not all at the same moment.
    """

    def __init__(self, queue: str, broker: AsyncBroker, clock: ServerClock, backoff: IdleBackoff) -> None:
        super().__init__()
        self.name = f"forwarder of queue {queue}"
        self._queue = queue
        self._broker = broker
        self._clock = clock
        self._backoff = backoff
        self._due_at: float | None = None
        """When the next task is due, by the server's clock, as far as is known."""
        self._told = asyncio.Event()

    async def tick(self) -> float:
        """Move everything that is due; wait for the next task, or for the time just after the next second."""
        if self._backoff.helps():
            await self.forward()
        while await self._rest():
            if not await self.forward() and not self._backoff.helps():
                # Another worker was faster, and that one knows what comes next.
                self._due_at = None
        return 0.0

    def tell(self, due_at: float) -> None:
        """A task has come that is due then (Unix seconds), before all others: its writer says so, by way of the server."""
        if (self._due_at is None or due_at < self._due_at) and self._backoff.helps():
            self._due_at = due_at
            self._told.set()

    async def forward(self) -> bool:
        """Move everything that is due; whether there was anything."""
        moved = False
        while True:
            reply = await self._broker.run(forward(self._queue), TIMEOUT)
            self._clock.observe(reply.server_time)
            self._due_at = reply.next_due_at
            self.progressed()
            moved = moved or reply.moved > 0
            if reply.moved < BATCH:
                return moved

    async def _rest(self) -> bool:
        """Wait; whether a task is due, and not only another second over."""
        now = self._clock.now()
        earliest = now + LEAST * self._backoff.stretch(8)
        period = self.timings.forward
        second = now - now % period + period + AFTER_TICK
        while True:
            self._told.clear()
            due_at = self._due_at
            until = second if due_at is None or due_at >= second else max(due_at, earliest)
            pause = until - self._clock.now()
            if pause <= 0:
                return until < second
            try:
                await asyncio.wait_for(self._told.wait(), pause)
            except TimeoutError:
                return until < second

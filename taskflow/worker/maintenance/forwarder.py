"""Moves what is due from scheduled and retry to pending: one look just after each second of the server's
clock.
"""

from __future__ import annotations

from ...broker.aio import AsyncBroker
from ...broker.commands.maintenance import BATCH, forward
from ...clock import ServerClock
from ..service import TIMEOUT, Service

AFTER_TICK = 0.02
"""Scores are whole seconds, so looking more often than once a second is waste."""


class Forwarder(Service):
    """The loop of one queue."""

    def __init__(self, queue: str, broker: AsyncBroker, clock: ServerClock) -> None:
        super().__init__()
        self.name = f"forwarder of queue {queue}"
        self._queue = queue
        self._broker = broker
        self._clock = clock

    async def tick(self) -> float:
        """Move everything that is due; the time to just after the next second."""
        while True:
            reply = await self._broker.run(forward(self._queue), TIMEOUT)
            self._clock.observe(reply.server_time)
            if reply.moved < BATCH:
                break
        now = self._clock.now()
        return 1.0 - now % 1.0 + AFTER_TICK

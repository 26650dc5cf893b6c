"""Moves what is due from scheduled and retry to pending: one look just after each second of the server's
clock.
"""

from __future__ import annotations

from ...broker.aio import AsyncBroker
from ...broker.commands.maintenance import BATCH, forward
from ...clock import ServerClock
from ..crowd import Crowd
from ..service import TIMEOUT, Service

AFTER_TICK = 0.02
"""Scores are whole seconds, so looking more often than once a second is waste."""


class Forwarder(Service):
    """The loop of one queue.

    Args:
        queue: its name.
        broker: where it is.
        clock: is told the server's time.
        crowd: of the workers on the queue. Where they are many, some look each second, not all at the same moment.
    """

    def __init__(self, queue: str, broker: AsyncBroker, clock: ServerClock, crowd: Crowd) -> None:
        super().__init__()
        self.name = f"forwarder of queue {queue}"
        self._queue = queue
        self._broker = broker
        self._clock = clock
        self._crowd = crowd

    async def tick(self) -> float:
        """Move everything that is due; the time to just after the next second."""
        if self._crowd.helps():
            await self.forward()
        now = self._clock.now()
        return 1.0 - now % 1.0 + AFTER_TICK

    async def forward(self) -> None:
        """Move everything that is due."""
        while True:
            reply = await self._broker.run(forward(self._queue), TIMEOUT)
            self._clock.observe(reply.server_time)
            if reply.moved < BATCH:
                return

"""Has a child look after what a queue's tasks have in the app's store: the worker process has no store of its own."""

from __future__ import annotations

import random
from collections.abc import Callable

from ...broker.aio import AsyncBroker
from ...broker.commands.stored import stored_due
from ...pipe.frames import Tidy
from ..service import TIMEOUT, Service


class StoreJanitor(Service):
    """The loop of one queue. One command a round if nothing is due.

    Args:
        queue: its name.
        broker: where it is.
        ask: sends a frame to a child that takes work, if there is one.
    """

    def __init__(self, queue: str, broker: AsyncBroker, ask: Callable[[Tidy], None]) -> None:
        super().__init__()
        self.name = f"store of queue {queue}"
        self._queue = queue
        self._broker = broker
        self._ask = ask

    async def tick(self) -> float:
        """If something is due, a child looks at it; if it dies over that, it is due in the next round, too."""
        if await self._broker.run(stored_due(self._queue, 1), TIMEOUT):
            self._ask(Tidy(self._queue))
        return self.timings.store * random.uniform(0.8, 1.2)

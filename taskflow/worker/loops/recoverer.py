"""Gives back the tasks of workers that are gone, and deletes what is past its retention."""

from __future__ import annotations

import random

from ...broker.aio import AsyncBroker
from ...broker.commands.maintenance import BATCH, expire, recover
from ...telemetry.events import Recovered, emit
from ..service import TIMEOUT, Service
from ..taking.idle_backoff import IdleBackoff


class Recoverer(Service):
    """The loop of one queue; every worker runs it, at its own moments.

    Args:
        queue: its name.
        broker: where it is.
        backoff: of the workers on the queue: where they are many, each looks less often, but never seldom.
    """

    def __init__(self, queue: str, broker: AsyncBroker, backoff: IdleBackoff) -> None:
        super().__init__()
        self._backoff = backoff
        self.name = f"recoverer of queue {queue}"
        self._queue = queue
        self._broker = broker

    async def tick(self) -> float:
        """Give back everything whose lease is over."""
        recovered: list[str] = []
        while ids := await self._broker.run(recover(self._queue), TIMEOUT):
            recovered += ids
            self.progressed()
        if recovered:
            emit(Recovered(self._queue, len(recovered)))
        return self.timings.recover * random.uniform(0.8, 1.2) * self._backoff.stretch(2)


class Janitor(Service):
    """Deletes completed tasks of one queue when their retention has passed; its arguments are those of `Recoverer`."""

    def __init__(self, queue: str, broker: AsyncBroker, backoff: IdleBackoff) -> None:
        super().__init__()
        self._backoff = backoff
        self.name = f"janitor of queue {queue}"
        self._queue = queue
        self._broker = broker

    async def tick(self) -> float:
        """Delete what has expired."""
        while await self._broker.run(expire(self._queue), TIMEOUT) >= BATCH:
            pass
        return self.timings.expire * random.uniform(0.875, 1.125) * self._backoff.stretch(2)

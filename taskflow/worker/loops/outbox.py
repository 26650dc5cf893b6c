"""Delivers the followers that lie in the outbox of a queue: of workers that died, and for queues that could not be reached."""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict

from ...broker.aio import AsyncBroker
from ...broker.commands.outbox import BATCH, Entry, overdue
from ...errors import BrokerError
from ..service import TIMEOUT, Service
from ..taking.idle_backoff import IdleBackoff
from .delivery import Delivery


class OutboxJanitor(Service):
    """The loop of one queue; every worker runs it, at its own moments.

    Args:
        queue: its name.
        broker: where it is.
        delivery: brings followers to their queues.
        backoff: of the workers on the queue: where they are many, each looks less often, but never seldom.
    """

    def __init__(self, queue: str, broker: AsyncBroker, delivery: Delivery, backoff: IdleBackoff) -> None:
        super().__init__()
        self.name = f"outbox of queue {queue}"
        self._queue = queue
        self._broker = broker
        self._delivery = delivery
        self._backoff = backoff

    async def tick(self) -> float:
        """Deliver whatever is overdue. One queue that cannot be reached keeps none of the others waiting."""
        looked_at = BATCH
        while looked_at >= BATCH:
            command = overdue(self._queue, self.timings.overdue, self._delivery.away())
            found = await self._broker.run(command, TIMEOUT)
            looked_at = found.looked_at
            now = time.monotonic()
            queues: defaultdict[str, list[Entry]] = defaultdict(list)
            for entry in found.entries:
                queues[entry.follower.queue].append(entry)
            await asyncio.gather(
                *(self._deliver(queue, entries, now, found.server_time) for queue, entries in queues.items())
            )
            self.progressed()
        return self.timings.outbox * random.uniform(0.8, 1.2) * self._backoff.stretch(2)

    async def _deliver(self, queue: str, entries: list[Entry], seen_at: float, server_time: float) -> None:
        who = f"overdue followers for queue {queue}"
        try:
            names = set(await self._delivery.bring(queue, entries, seen_at, server_time))
            await self._delivery.confirm(self._queue, [entry for entry in entries if entry.name in names])
        except BrokerError as error:
            self.troubles.failed(who, error, note="they lie in the outbox, and are delivered from there")
        else:
            self.troubles.worked(who)

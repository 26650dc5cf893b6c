"""Extends the leases on everything held, from a process that never runs user code."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ...broker.aio import AsyncBroker
from ...broker.commands.dequeue import extend
from ...errors import BrokerError
from ...telemetry.events import LeaseLost, emit
from ..service import Service
from .held_tasks import Held, HeldTasks

logger = logging.getLogger("taskflow.worker")

BATCH = 200


class Leases(Service):
    """The loop that keeps leases alive.

    Args:
        broker: where they are.
        held_tasks: what is held.
        on_cancelled: is given each task that somebody has cancelled, and after how many seconds its process is to be killed.
    """

    name = "leases"

    def __init__(
        self,
        broker: AsyncBroker,
        held_tasks: HeldTasks,
        on_cancelled: Callable[[Held, float | None], None] = lambda held, grace: None,
    ) -> None:
        super().__init__()
        self._broker = broker
        self._held_tasks = held_tasks
        self._on_cancelled = on_cancelled

    async def tick(self) -> float:
        """Extend every lease once. Queues on a node that does not answer do not keep the others waiting."""
        times = self.timings
        batches: list[list[Held]] = []
        for _, held in self._held_tasks.by_queue():
            batches += [held[start : start + BATCH] for start in range(0, len(held), BATCH)]
        if not batches:
            return times.lease_extension
        commands = [extend(batch[0].queue, [held.taken for held in batch], times.lease) for batch in batches]
        replies = await self._broker.run_many(commands, times.lease_extension)
        failed: BrokerError | None = None
        for batch, reply in zip(batches, replies, strict=True):
            if isinstance(reply, BrokerError):
                logger.debug("Leases of queue %s could not be extended: %s", batch[0].queue, reply)
                failed = failed or reply
            else:
                if reply.lost:
                    self._mark_lost(batch, set(reply.lost))
                if reply.cancelled:
                    for one in batch:
                        if one.id in reply.cancelled:
                            self._on_cancelled(one, reply.cancelled[one.id])
        if failed is not None:
            # Those of the other nodes are extended. Tried again sooner than usual, and said.
            raise failed
        return times.lease_extension

    @staticmethod
    def _mark_lost(batch: list[Held], ids: set[str]) -> None:
        for held in batch:
            if held.id in ids and not held.lost:
                held.lost = True
                if LeaseLost.heard:
                    emit(LeaseLost(*held.who()))

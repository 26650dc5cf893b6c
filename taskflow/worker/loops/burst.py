"""Ends a worker that was started with `--burst` when nothing is left to do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from ...broker.aio import AsyncBroker
from ...broker.commands.dequeue import backlog
from ...broker.commands.outbox import undelivered
from ...clock import ServerClock
from ...errors import BrokerError
from ..service import Service
from ..taking.idle_backoff import IdleBackoff
from .forwarder import Forwarder

BURST_PERIOD = 0.05

LOOKS = 3
"""At least, once it is known what is served and the loops of all that have looked for work themselves."""


class Burst(Service):
    """Ends a worker that was started with `--burst` when every queue is empty, after what was due has been forwarded and what
    somebody has left in an outbox is where it belongs. It does not wait for what is for queues that cannot be reached.

    Args:
        broker: where the queues are.
        clock: is told the server's time.
        queues: which; None while they are not known yet, or not all of their loops have looked for work once.
        held: how many tasks the worker holds.
        away: whether there are queues that followers cannot be brought to.
        end: is called when nothing is left.
    """

    name = "burst"

    def __init__(
        self,
        broker: AsyncBroker,
        clock: ServerClock,
        queues: Callable[[], Iterable[str] | None],
        held: Callable[[], int],
        away: Callable[[], bool],
        end: Callable[[], None],
    ) -> None:
        super().__init__()
        self._broker = broker
        self._clock = clock
        self._queues = queues
        self._held = held
        self._away = away
        self._end = end
        self._looks = 0

    async def tick(self) -> float:
        """One look."""
        queues = self._queues()
        if queues is None:
            return BURST_PERIOD
        # The loops that find work have just looked: what they have found is on its way.
        self._looks += 1
        if self._looks < LOOKS or self._held():
            return BURST_PERIOD
        queues = list(queues)
        for queue in queues:
            with contextlib.suppress(BrokerError):
                await Forwarder(queue, self._broker, self._clock, IdleBackoff()).forward()
        looks = [backlog(queue) for queue in queues]
        if not self._away():
            looks += [undelivered(queue) for queue in queues]
        replies = await self._broker.run_many(looks)
        if all(reply == 0 for reply in replies) and not self._held():
            self._end()
            return 3600.0
        return BURST_PERIOD

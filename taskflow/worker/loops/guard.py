"""One worker of many: who holds the guard of a loop runs it, and the others look again when it may have ended."""

from __future__ import annotations

from ...broker.aio import AsyncBroker
from ...broker.commands.guards import hold_guard


class Guard:
    """The guard of one loop of one queue.

    It keeps the others quiet and saves their work, and no more: a worker that is stopped for longer than its guard may run a
    round beside the one that has taken over. What a guarded loop does has to be right also then.

    Args:
        broker: where the queue is.
        queue: its name.
        name: of the loop: one guard for all workers that have it.
        owner: who this worker is.
        seconds: how long the guard holds after each round.
    """

    def __init__(self, broker: AsyncBroker, queue: str, name: str, owner: str, seconds: float) -> None:
        self._broker = broker
        self._queue = queue
        self._name = name
        self._owner = owner
        self._seconds = seconds

    @property
    def pause(self) -> float:
        """Seconds until somebody who does not hold it looks again."""
        return self._seconds / 2

    async def is_ours(self) -> bool:
        """Take it if it is free, hold it if we have it; whether we have it now."""
        return await self._broker.run(hold_guard(self._queue, self._name, self._owner, self._seconds))

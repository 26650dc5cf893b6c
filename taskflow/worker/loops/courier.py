"""Delivers the followers of the tasks that this worker has just ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from ...broker.commands.outbox import BATCH, Entry
from ...clock import ServerClock
from ...errors import BrokerError
from ..service import Service
from .delivery import Delivery

logger = logging.getLogger("taskflow.worker")

MOST_WAITING = 10_000
"""Followers for one queue that are kept in memory; those behind them lie in the outbox and are delivered from there."""

MOST_BYTES = 32 << 20
"""Of their messages, for all queues together; likewise."""

PERIOD = 1.0
"""Seconds between two looks at whether a trip has ended as none should."""


@dataclass(frozen=True, slots=True)
class _Item:
    """A follower in the outbox of the queue `home`, and when it was put there: on the monotonic clock, and by a server's."""

    home: str
    entry: Entry
    put_at: float
    server_time: float


class Courier(Service):
    """Delivers in the next trip after the one that has put followers into the outbox, and tells the outbox so.

    It tries each once. What does not arrive lies in the outbox, where the janitors of all workers look.

    Args:
        delivery: brings them there.
        clock: the server's time.
    """

    name = "courier"

    def __init__(self, delivery: Delivery, clock: ServerClock) -> None:
        super().__init__()
        self._delivery = delivery
        self._clock = clock
        self._waiting: dict[str, deque[_Item]] = {}
        self._bytes = 0
        self._trips: dict[str, asyncio.Task[None]] = {}
        self._broken: deque[BaseException] = deque(maxlen=10)

    def __len__(self) -> int:
        """How many it has, under way or not."""
        return sum(map(len, self._waiting.values())) + len(self._trips)

    def add(self, home: str, entries: list[Entry]) -> None:
        """Followers that are in the outbox of the queue `home` now."""
        now, server_time = time.monotonic(), self._clock.now()
        for entry in entries:
            queue = entry.follower.queue
            waiting = self._waiting.setdefault(queue, deque())
            size = len(entry.follower.message)
            if (
                len(waiting) < MOST_WAITING
                and self._bytes + size <= MOST_BYTES
                and not self._delivery.is_away(queue)
            ):
                waiting.append(_Item(home, entry, now, server_time))
                self._bytes += size
        for queue in {entry.follower.queue for entry in entries}:
            if queue not in self._trips:
                trip = asyncio.create_task(self._deliver(queue), name=f"courier-{queue}")
                trip.add_done_callback(self._ended)
                self._trips[queue] = trip

    async def drain(self, timeout: float) -> bool:
        """Wait until everything is delivered that can be; False when it is not in time."""
        deadline = time.monotonic() + timeout
        while self._trips and (left := deadline - time.monotonic()) > 0:
            await asyncio.wait(self._trips.values(), timeout=left)
        with contextlib.suppress(BrokerError, TimeoutError):  # what is left of them ends in days
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + deadline - time.monotonic()):
                await self._delivery.shorten_markers()
        return not self._trips

    async def tick(self) -> float:
        """See whether a trip has ended as none should, and let markers end that are of no more use.

        Each queue has a trip of its own while there is something for it.
        """
        while self._broken:
            raise self._broken.popleft()
        await self._delivery.shorten_markers()
        return PERIOD

    async def stop(self) -> None:
        """Leave what is not delivered to others."""
        trips = list(self._trips.values())
        for trip in trips:
            trip.cancel()
        if trips:
            await asyncio.wait(trips, timeout=1)
        await super().stop()

    async def _deliver(self, queue: str) -> None:
        """Until nothing waits for this queue."""
        waiting = self._waiting[queue]
        who = f"followers for queue {queue}"
        try:
            while waiting and not self._delivery.is_away(queue):
                items = [waiting.popleft() for _ in range(min(len(waiting), BATCH))]
                self._forget(items)
                first = items[0]
                entries = [item.entry for item in items]
                names = set(await self._delivery.bring(queue, entries, first.put_at, first.server_time))
                self.troubles.worked(who)
                await self._confirm([item for item in items if item.entry.name in names])
        except BrokerError as error:
            self.troubles.failed(who, error, note="they are in the outbox, and delivered from there")
        finally:
            self._trips.pop(queue, None)
            self._forget(self._waiting.pop(queue, ()))

    def _forget(self, items: Iterable[_Item]) -> None:
        self._bytes -= sum(len(item.entry.follower.message) for item in items)

    def _ended(self, trip: asyncio.Task[None]) -> None:
        if not trip.cancelled() and (error := trip.exception()) is not None:
            self._broken.append(error)

    async def _confirm(self, items: list[_Item]) -> None:
        homes: defaultdict[str, list[Entry]] = defaultdict(list)
        for item in items:
            homes[item.home].append(item.entry)
        for home, entries in homes.items():
            with contextlib.suppress(BrokerError):  # they are delivered again then, and are there already
                await self._delivery.confirm(home, entries)

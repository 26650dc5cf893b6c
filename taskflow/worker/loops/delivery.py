"""Brings followers of ended tasks to their queues, and knows which queues cannot be brought anything just now."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ...broker.aio import AsyncBroker
from ...broker.commands.enqueue import MOST_BYTES, publish_queues
from ...broker.commands.outbox import (
    BATCH,
    NOT_AFTER_SECONDS,
    Deliveries,
    Entry,
    confirm,
    deliver,
    shorten_marker,
)
from ...broker.words import Delivered
from ...errors import BrokerError

TIMEOUT = 4.0
"""Seconds of one call."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds for which a queue is left alone after a call that failed, doubled with each that follows."""

FRESH_SECONDS = 30.0
"""A worker that has seen a follower in the outbox so short a time ago has not stood still since: whoever says that it is too late
has another clock.
"""

LISTED_SECONDS = 60.0
"""After so long a queue that is still delivered to is entered in the index of all queues again: somebody may have removed it."""


class Delivery:
    """What the courier of a worker and the janitors of its outboxes share.

    Args:
        broker: where the queues are.
    """

    def __init__(self, broker: AsyncBroker) -> None:
        self._broker = broker
        self._away: dict[str, tuple[float, float]] = {}
        """Until when (monotonic) a queue is left alone, and for how long that was."""
        self._listed: dict[str, float] = {}
        """When (monotonic) a queue was entered in the index of all queues."""
        self._confirmed: list[tuple[str, str]] = []
        """Queues and ids of followers that are out of their outboxes, and whose markers have days to live."""

    def is_away(self, queue: str) -> bool:
        """Whether a queue is left alone for now."""
        return queue in self._away and self._away[queue][0] > time.monotonic()

    def away(self) -> list[tuple[str, float]]:
        """The queues that are left alone, and for how many seconds more."""
        now = time.monotonic()
        return [(queue, until - now) for queue, (until, _) in self._away.items() if until > now]

    async def bring(
        self, queue: str, entries: Sequence[Entry], seen_at: float, server_time: float
    ) -> list[str]:
        """Deliver followers to one queue; the names of those that are there.

        Args:
            queue: where all of them go.
            entries: at most `BATCH` of them.
            seen_at: when they were in the outbox for certain (monotonic seconds).
            server_time: the same moment by a server's clock, in Unix seconds.

        Raises:
            BrokerError: the queue cannot be reached, and is left alone for a while.
        """
        names: list[str] = []
        try:
            for part in _parts(entries):
                replies = await self._deliver(queue, part, seen_at, server_time)
                there = (Delivered.DELIVERED, Delivered.ALREADY_THERE)
                names += [entry.name for entry, reply in zip(part, replies, strict=True) if reply in there]
            await self._list(queue)
        except BrokerError:
            pause = min(self._away.get(queue, (0.0, FIRST_PAUSE / 2))[1] * 2, LONGEST_PAUSE)
            self._away[queue] = (time.monotonic() + pause, pause)
            if names:
                return names
            raise
        self._away.pop(queue, None)
        return names

    async def confirm(self, home: str, entries: Sequence[Entry]) -> None:
        """Take what was delivered out of the outbox of the queue `home`; raises BrokerError."""
        for begin in range(0, len(entries), BATCH):
            part = entries[begin : begin + BATCH]
            await self._broker.run(confirm(home, [entry.name for entry in part]), TIMEOUT)
            self._confirmed += [(entry.follower.queue, entry.follower.id) for entry in part]

    async def shorten_markers(self) -> None:
        """Let the markers of what is confirmed end soon. Where that does not succeed they live for their days, and do no harm."""
        confirmed, self._confirmed = self._confirmed, []
        for begin in range(0, len(confirmed), BATCH):
            part = [shorten_marker(*one) for one in confirmed[begin : begin + BATCH]]
            await self._broker.run_many(part, TIMEOUT)

    async def _deliver(
        self, queue: str, entries: Sequence[Entry], seen_at: float, server_time: float
    ) -> list[Delivered]:
        found = await self._call(queue, entries, server_time)
        if Delivered.TOO_LATE in found.replies and time.monotonic() - seen_at < FRESH_SECONDS:
            # It is not late: the clocks of two nodes are minutes apart.
            found = await self._call(queue, entries, found.server_time)
        return found.replies

    async def _call(self, queue: str, entries: Sequence[Entry], server_time: float) -> Deliveries:
        followers = [entry.follower for entry in entries]
        return await self._broker.run(deliver(queue, followers, server_time + NOT_AFTER_SECONDS), TIMEOUT)

    async def _list(self, queue: str) -> None:
        """Enter the queue in the index of all queues, as a client does; the next delivery does it if this one cannot."""
        now = time.monotonic()
        if now - self._listed.get(queue, -LISTED_SECONDS) >= LISTED_SECONDS:
            await self._broker.run(publish_queues([queue]), TIMEOUT)
            self._listed[queue] = now


def _parts(entries: Sequence[Entry]) -> list[list[Entry]]:
    """As many at once as a script may be given."""
    parts: list[list[Entry]] = []
    room = 0
    for entry in entries:
        size = len(entry.follower.message)
        if not parts or room < size or len(parts[-1]) >= BATCH:
            parts.append([])
            room = MOST_BYTES
        parts[-1].append(entry)
        room -= size
    return parts

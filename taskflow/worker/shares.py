"""Who gets the next free slots: queues by weight, or strictly in order (no I/O).

Fair queueing by virtual time: every slot that a queue is granted moves its clock forward by 1/weight, and the
queue whose clock is furthest behind is served next. A busy queue keeps its claim during the round trip in
which it fetches, so that the shares hold even when slots come free one by one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

CLAIM_SECONDS = 0.1
"""How long a fetch may hold its slots and its claim: a node that does not answer must not starve the others'
queues.
"""


class _Queue:
    __slots__ = ("busy", "clock", "granted", "name", "since", "waiter", "weight")

    def __init__(self, name: str, weight: int) -> None:
        self.name = name
        self.weight = weight
        self.clock = 0.0
        self.waiter: asyncio.Future[int] | None = None
        self.granted = 0
        self.since = 0.0
        self.busy = False


class Shares:
    """Divides the room in the children among the queues.

    Args:
        weights: by queue name.
        strict: by order of weight instead, and only what the queues before leave.
        room: how many more jobs the children can take.
        most: of one grant.
    """

    def __init__(
        self, weights: Mapping[str, int], *, strict: bool, room: Callable[[], int], most: int
    ) -> None:
        ordered = sorted(weights.items(), key=lambda item: -item[1])
        self._queues = {name: _Queue(name, weight) for name, weight in ordered}
        self._strict = strict
        self._room = room
        self._most = most
        self._clock = 0.0

    async def grant(self, name: str) -> int:
        """Wait for slots for this queue: how many it may take."""
        queue = self._queues[name]
        queue.clock = max(queue.clock, self._clock)
        loop = asyncio.get_running_loop()
        queue.waiter = loop.create_future()
        # Not at once: whoever else asks in this turn of the loop is weighed against this one.
        loop.call_soon(self.pump)
        try:
            return await queue.waiter
        except asyncio.CancelledError:
            if queue.waiter.done() and not queue.waiter.cancelled():
                self.settle(name, queue.waiter.result(), 0, more=False)
            raise
        finally:
            queue.waiter = None

    def settle(self, name: str, granted: int, used: int, *, more: bool) -> None:
        """A fetch has ended: so many of its slots were used, the rest is free.

        `more`: the queue has more to take.
        """
        queue = self._queues[name]
        queue.granted = 0
        queue.busy = more
        queue.clock -= (granted - used) / queue.weight
        self.pump()

    def pump(self) -> None:
        """Grant what is free. To be called whenever something may have become free."""
        now = time.monotonic()
        waiting = [
            queue for queue in self._queues.values() if queue.waiter is not None and not queue.waiter.done()
        ]
        if not waiting:
            return
        room = self._room() - sum(q.granted for q in self._queues.values() if now - q.since < CLAIM_SECONDS)
        if room <= 0:
            return
        for queue, count in self._divide(waiting, room, now):
            if count and queue.waiter is not None:
                queue.granted = count
                queue.since = now
                queue.waiter.set_result(count)
                asyncio.get_running_loop().call_later(CLAIM_SECONDS, self.pump)

    def _divide(self, waiting: list[_Queue], room: int, now: float) -> list[tuple[_Queue, int]]:
        claims = [
            queue
            for queue in self._queues.values()
            if queue.waiter is None and queue.busy and now - queue.since < CLAIM_SECONDS
        ]
        if self._strict:
            return self._in_order(waiting, claims, room)
        if len(waiting) == 1 and not claims:
            queue = waiting[0]
            count = min(room, self._most)
            self._clock = queue.clock
            queue.clock += count / queue.weight
            return [(queue, count)]
        return self._by_clock(waiting, claims, room)

    def _by_clock(self, waiting: list[_Queue], claims: list[_Queue], room: int) -> list[tuple[_Queue, int]]:
        counts = dict.fromkeys(waiting, 0)
        ahead = {queue: queue.clock for queue in claims}
        for _ in range(min(room, self._most * len(waiting))):
            queue = min([*waiting, *claims], key=lambda q: ahead.get(q, q.clock))
            if queue in ahead:
                # Kept for a busy queue that is on its way back.
                ahead[queue] += 1 / queue.weight
            else:
                self._clock = queue.clock
                queue.clock += 1 / queue.weight
                counts[queue] += 1
        return list(counts.items())

    def _in_order(self, waiting: list[_Queue], claims: list[_Queue], room: int) -> list[tuple[_Queue, int]]:
        """The first that waits, unless a weightier one that is busy will be back in a moment."""
        order = list(self._queues.values())
        first = min(waiting, key=order.index)
        if any(order.index(claim) < order.index(first) for claim in claims):
            return []
        return [(first, min(room, self._most))]

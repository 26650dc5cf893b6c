"""Who gets the next free slots: queues by weight, or strictly in order (no I/O).

Fair queueing by virtual time: every slot that a queue is granted moves its clock forward by 1/weight, and the
queue whose clock is furthest behind is served next. A busy queue keeps its claim during the round trip in
which it fetches, so that the shares hold even when slots come free one by one.

The partitions of a queue have one clock together, so a queue gets the same share over however many it is spread. Among
themselves they take turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

CLAIM_SECONDS = 0.1
"""How long a fetch may hold its slots and its claim: a node that does not answer must not starve the others'
queues.
"""

STRICT_CLAIM_SECONDS = 1.0
"""The same in strict order, where a turn out of order is worse than a wait."""

LAST_PART = 0.1
"""Of that time, the part that begins only when the rest is over. Where the worker itself stood still all the while, the node's
answer is there by now, and is heard in it.
"""


class Apart(Protocol):
    """A second pool."""

    @property
    def queues(self) -> Collection[str]:
        """Those all of whose tasks run there."""

    @property
    def room(self) -> Callable[[], int]:
        """Says how many more it can take."""


class _Queue:
    """A queue, which may be spread over several partitions."""

    __slots__ = ("apart", "clock", "rank", "turns", "weight")

    def __init__(self, weight: int, rank: int, *, apart: bool) -> None:
        self.apart = apart
        """Whether all its tasks run in the second pool."""
        self.weight = weight
        self.rank = rank
        self.clock = 0.0
        self.turns = 0.0
        """The clock of its partitions among themselves."""


class _Part:
    """What fetches: a queue, or a partition of one."""

    __slots__ = ("busy", "claim", "granted", "queue", "turns", "waiter")

    def __init__(self, queue: _Queue) -> None:
        self.queue = queue
        self.turns = 0.0
        self.waiter: asyncio.Future[int] | None = None
        self.granted = 0
        self.busy = False
        self.claim: object = None
        """Stands for its last grant, as long as that may hold slots and a claim."""


class SlotAllocator:
    """Divides the room in the children among the queues.

    Args:
        weights: by queue name.
        strict: by order of weight instead, and only what the queues before leave.
        room: how many more jobs the children can take.
        most: of one grant.
        unwritten: how many jobs have ended whose verdicts are not written.
        apart: the second pool, if there is one. What is in `room` of it is for its queues, and the rest for all others.
    """

    def __init__(
        self,
        weights: Mapping[str, int],
        *,
        strict: bool,
        room: Callable[[], int],
        most: int,
        unwritten: Callable[[], int] = lambda: 0,
        apart: Apart | None = None,
    ) -> None:
        self._apart = apart
        ordered = sorted(weights.items(), key=lambda item: -item[1])
        self._queues = {name: self._queue(name, weight, rank) for rank, (name, weight) in enumerate(ordered)}
        self._parts = {name: _Part(queue) for name, queue in self._queues.items()}
        self._strict = strict
        self._claim_seconds = STRICT_CLAIM_SECONDS if strict else CLAIM_SECONDS
        self._room = room
        self._unwritten = unwritten
        self._most = most
        self._clock = 0.0

    def declare(self, queue: str, weight: int) -> None:
        """There is one queue more, the last in order."""
        self._queues.setdefault(queue, self._queue(queue, weight, len(self._queues)))

    def _queue(self, name: str, weight: int, rank: int) -> _Queue:
        return _Queue(weight, rank, apart=self._apart is not None and name in self._apart.queues)

    def add(self, name: str, queue: str) -> None:
        """A partition of a queue is served from now on, at the cost of the queue's share."""
        self._parts.setdefault(name, _Part(self._queues[queue]))

    def remove(self, name: str) -> None:
        """It is served no more."""
        self._parts.pop(name, None)

    async def grant(self, name: str) -> int:
        """Wait for slots for this queue, or partition: how many it may take."""
        part = self._parts[name]
        self._join(part)
        loop = asyncio.get_running_loop()
        part.waiter = loop.create_future()
        if len(self._parts) > 1:
            # Granted later, not at once: so all that ask in this turn of the loop are weighed against each other.
            loop.call_soon(self.pump)
        else:
            self.pump()
        try:
            return await part.waiter
        except asyncio.CancelledError:
            if part.waiter.done() and not part.waiter.cancelled():
                self.account(name, part.waiter.result(), 0, more=False)
            raise
        finally:
            part.waiter = None

    def free(self) -> int:
        """How many slots one could be granted now."""
        return min(self._unclaimed(), self._most)

    def grant_at_once(self, name: str, count: int) -> bool:
        """Grant so many slots now, if nobody has to be weighed against this one; it is accounted for as any grant."""
        part = self._parts[name]
        if self._apart is not None or count <= 0 or self._unclaimed() < count or self._has_rivals(part):
            return False
        self._join(part)
        self._charge(part, count)
        self._grant(part, count)
        return True

    def follow(self, name: str, taken: int) -> int:
        """A fetch has filled all its slots, and its tasks are not given out yet: grant the next one now, beside it.

        `given` is to be called when they are. Whatever else takes room counts here: also what waits for its verdict to be
        written, or the queue would be taken faster than it is written. Less than was taken is not granted: it would be the first
        of many small batches, where a moment later there is room for a large one.

        Returns:
            How many; 0: it has to ask as always, because there is not enough room or another queue has to be weighed against it.
        """
        part = self._parts.get(name)
        if part is None or self._apart is not None or self._has_rivals(part):
            return 0
        own = 0 if part.claim is not None else taken  # what it was granted so lately is claimed already
        count = min(self._unclaimed() - own - self._unwritten(), self._most)
        if count < taken:
            return 0
        self._charge(part, count)
        self._grant(part, taken + count)
        return count

    def given(self, name: str, taken: int) -> None:
        """What came before a fetch that follows is given out: it takes room by itself now."""
        part = self._parts.get(name)
        if part is not None:
            part.granted = max(part.granted - taken, 0)

    def account(self, name: str, granted: int, used: int, *, more: bool) -> None:
        """A fetch has ended: so many of its slots were used, the rest is free.

        `more`: there is more to take.
        """
        part = self._parts.get(name)
        if part is not None:
            part.granted = 0
            part.busy = more
            part.turns -= granted - used
            part.queue.clock -= (granted - used) / part.queue.weight
        self.pump()

    def pump(self) -> None:
        """Grant what is free. To be called whenever something may have become free."""
        waiting = [
            part for part in self._parts.values() if part.waiter is not None and not part.waiter.done()
        ]
        if not waiting:
            return
        room = self._unclaimed()
        if room <= 0:
            return
        for part, count in self._divide(waiting, room):
            if count and part.waiter is not None:
                self._grant(part, count)
                part.waiter.set_result(count)

    def _join(self, part: _Part) -> None:
        """It asks again after a pause. Its clock is moved forward: for the time in which it did not ask it gets nothing later."""
        part.queue.clock = max(part.queue.clock, self._clock)
        part.turns = max(part.turns, part.queue.turns)

    def _unclaimed(self) -> int:
        return self._room() - sum(part.granted for part in self._parts.values() if part.claim is not None)

    def _has_rivals(self, part: _Part) -> bool:
        """Whether another one has to be weighed against it."""
        if self._strict and len(self._parts) > 1:
            return True
        return any(
            other is not part and (other.waiter is not None or (other.busy and other.claim is not None))
            for other in self._parts.values()
        )

    def _grant(self, part: _Part, count: int) -> None:
        part.granted = count
        part.claim = claim = object()
        first = self._claim_seconds * (1 - LAST_PART)
        asyncio.get_running_loop().call_later(first, self._doubt, part, claim)

    def _doubt(self, part: _Part, claim: object) -> None:
        """A fetch takes long, unless another was granted since."""
        if part.claim is claim:
            last = self._claim_seconds * LAST_PART
            asyncio.get_running_loop().call_later(last, self._give_up, part, claim)

    def _give_up(self, part: _Part, claim: object) -> None:
        if part.claim is claim:
            part.claim = None
            self.pump()

    def _divide(self, waiting: list[_Part], room: int) -> list[tuple[_Part, int]]:
        if self._apart is None:
            return self._divide_pool(waiting, room)
        divided: list[tuple[_Part, int]] = []
        for apart in (False, True):
            asking = [part for part in waiting if part.queue.apart is apart]
            left = min(room, self._room_of(apart=apart))
            if asking and left > 0:
                divided += self._divide_pool(asking, left)
                room -= sum(count for part, count in divided if part.queue.apart is apart)
        return divided

    def _room_of(self, *, apart: bool) -> int:
        """What one of two pools has room for, without what was granted of it."""
        assert self._apart is not None, "there are two"
        room = self._apart.room() if apart else self._room() - self._apart.room()
        parts = self._parts.values()
        return room - sum(
            part.granted for part in parts if part.claim is not None and part.queue.apart is apart
        )

    def _divide_pool(self, waiting: list[_Part], room: int) -> list[tuple[_Part, int]]:
        asking = {part.queue for part in waiting}
        # Room is not kept for another partition of the same queue: the share is the queue's, and this partition asks now.
        # One that was granted in this very turn of the loop has a claim, too: its fetcher has not run since.
        claims = [
            part
            for part in self._parts.values()
            if part not in waiting
            and part.busy
            and part.queue not in asking
            and part.claim is not None
            and part.queue.apart is waiting[0].queue.apart
        ]
        if self._strict:
            return self._in_order(waiting, claims, room)
        if len(waiting) == 1 and not claims:
            count = min(room, self._most)
            self._charge(waiting[0], count)
            return [(waiting[0], count)]
        return self._by_clock(waiting, claims, room)

    def _charge(self, part: _Part, count: int) -> None:
        queue = part.queue
        self._clock = queue.clock
        queue.clock += count / queue.weight
        queue.turns = part.turns
        part.turns += count

    def _by_clock(self, waiting: list[_Part], claims: list[_Part], room: int) -> list[tuple[_Part, int]]:
        counts = dict.fromkeys(waiting, 0)
        ahead = {part.queue: part.queue.clock for part in claims}
        for _ in range(min(room, self._most * len(waiting))):
            part = min(
                [*waiting, *claims], key=lambda p: (ahead.get(p.queue, p.queue.clock), p.queue.rank, p.turns)
            )
            if part.queue in ahead:
                # Room is kept for a busy queue that will ask again in a moment.
                ahead[part.queue] += 1 / part.queue.weight
            else:
                self._charge(part, 1)
                counts[part] += 1
        return list(counts.items())

    def _in_order(self, waiting: list[_Part], claims: list[_Part], room: int) -> list[tuple[_Part, int]]:
        """The first that waits, unless a weightier one that is busy will be back in a moment."""
        first = min(waiting, key=lambda part: (part.queue.rank, part.turns))
        if any(claim.queue.rank < first.queue.rank for claim in claims):
            return []
        count = min(room, self._most)
        self._charge(first, count)
        return [(first, count)]

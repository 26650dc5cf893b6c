"""A queue: who is under way to a node, and who waits for the next trip.

Without I/O or locks, and all but `CommitQueues` without a clock; `group_commit` and `async_group_commit` wait and send.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

from ..broker.commands.enqueue import BATCH, MOST_BYTES
from ..errors import BrokerUnavailable

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
R = TypeVar("R")

PATIENCE = 0.25
"""Seconds that the first in the queue waits for a trip to end before it goes beside it."""

WAITING, LEADS, UNDER_WAY, ANSWERED, GONE = "waiting", "leads", "under way", "answered", "gone"


class Caller(Generic[T, R]):
    """One who wants an item sent.

    Args:
        item: what is to be sent.
        weight: its bytes.
        deadline: on the monotonic clock.

    Attributes:
        value: what became of the item, once it is answered; None when its leader was interrupted.
        turn: what it waits on: a lock or a future.
        wakes: the next of those who are answered by the same trip.
    """

    __slots__ = ("deadline", "item", "state", "turn", "value", "wakes", "weight")

    def __init__(self, item: T, weight: int, deadline: float) -> None:
        self.item = item
        self.weight = weight
        self.deadline = deadline
        self.state = WAITING
        self.value: R | None = None
        self.turn: Any = None
        self.wakes: Caller[T, R] | None = None


class CommitQueue(Generic[T, R]):
    """Who is under way to one node, and who waits for the next trip (pure).

    Args:
        bunch: of more in the queue only half go on a trip.
    """

    __slots__ = ("_bunch", "leader", "waiting")

    def __init__(self, bunch: float) -> None:
        self._bunch = bunch
        self.leader: object = None
        """Who is under way: a caller, or whatever stands for one that found nobody."""
        self.waiting: deque[Caller[T, R]] = deque()

    def enter(self, caller: Caller[T, R]) -> bool:
        """Come. True: nobody is under way, so lead a trip at once; False: wait."""
        if self.leader is None:
            self.leader = caller
            caller.state = LEADS
            return True
        self.waiting.append(caller)
        return False

    def batch(self, leader: Caller[T, R]) -> list[Caller[T, R]]:
        """Who goes on the leader's trip: itself, and as many of those in the queue as fit."""
        batch = [leader]
        waiting, room = self.waiting, MOST_BYTES
        most = min(max((len(waiting) + 1) // 2, self._bunch), BATCH)
        while waiting and len(batch) < most and (room := room - waiting[0].weight) >= 0:
            caller = waiting.popleft()
            caller.state = UNDER_WAY
            batch.append(caller)
        return batch

    def end(
        self, batch: Sequence[Caller[T, R]], values: Sequence[R] | None
    ) -> tuple[Caller[T, R] | None, Caller[T, R] | None]:
        """The trip of a batch is over: who leads the next one; and the first of those who are answered by it, who `wakes` the
        next of them, and so on.

        Args:
            batch: as it went, its leader first.
            values: what became of its items; None: the leader was interrupted and does not know.
        """
        first: Caller[T, R] | None = None
        for index in range(len(batch) - 1, 0, -1):
            caller = batch[index]
            if caller.state is UNDER_WAY:  # and has not gone meanwhile
                caller.value = values[index] if values is not None else None
                caller.state = ANSWERED
                caller.wakes, first = first, caller
        return self.leave(batch[0]), first

    def leave(self, leader: object) -> Caller[T, R] | None:
        """The leader's trip is over: who leads the next one and is to be woken for it."""
        if self.leader is not leader:  # it was overtaken, and the queue goes on without it
            return None
        self.leader = None
        if not self.waiting:
            return None
        successor = self.waiting.popleft()
        self.leader = successor
        successor.state = LEADS
        return successor

    def overtake(self, caller: Caller[T, R]) -> bool:
        """The trip under way takes too long: whether the caller, if it is still in the queue, leads one beside it."""
        if caller.state is not WAITING:
            return False
        self.waiting.remove(caller)
        self.leader = caller
        caller.state = LEADS
        return True

    def abandon(self, caller: Caller[T, R]) -> Caller[T, R] | None:
        """The caller has stopped waiting: who leads in its place and is to be woken for it."""
        if caller.state is LEADS:
            return self.leave(caller)
        if caller.state is WAITING:
            self.waiting.remove(caller)
        caller.state = GONE
        return None


class CommitQueues(Generic[K, T, R]):
    """A queue for each key: a node, and what must not be mixed on the way to it."""

    _bunch = math.inf

    def __init__(self, undecided: Callable[[R], bool]) -> None:
        self._undecided = undecided
        self._queues: dict[K, CommitQueue[T, R]] = {}

    def _queue(self, key: K) -> CommitQueue[T, R]:
        queue = self._queues.get(key)
        return queue if queue is not None else self._queues.setdefault(key, CommitQueue(self._bunch))

    def _seconds(self, caller: Caller[T, R]) -> float:
        """How long the caller waits now."""
        return min(PATIENCE, max(caller.deadline - time.monotonic(), 0.0))

    def _waits_on(self, queue: CommitQueue[T, R], caller: Caller[T, R]) -> bool:
        """Whether a caller that was woken, or has waited for `_seconds`, waits again. It does not if it is answered or leads,
        also where whoever was to wake it is gone, or if it loses its patience now and goes beside the trip that is under way.

        Raises:
            BrokerUnavailable: its time is over.
        """
        if caller.state not in (WAITING, UNDER_WAY):
            return False
        if self._is_late(caller):
            raise BrokerUnavailable("no answer from the broker in time")
        return not queue.overtake(caller)

    def _is_late(self, caller: Caller[T, R]) -> bool:
        return time.monotonic() >= caller.deadline

    def _alone(self, caller: Caller[T, R]) -> bool:
        """Whether a caller that was answered has to send its item again by itself: its leader was interrupted, or had
        less time than itself.
        """
        value = caller.value
        return value is None or (self._undecided(value) and not self._is_late(caller))

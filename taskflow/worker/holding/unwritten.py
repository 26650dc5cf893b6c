"""Verdicts that are not written yet: which of a queue's go in the next call, and what stays until it is answered."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass

from ...broker.commands.finish import BATCH
from ...message.outcome import Outcome
from ...states import Verb
from .held_tasks import Held

Item = tuple[Held, Outcome]

_DONE = Verb.DONE.value


@dataclass(slots=True, eq=False)
class Batch:
    """Verdicts that go in one call, again and again until it is answered."""

    items: list[Item]
    resent: bool = False
    """An earlier call may have run."""
    tries: int = 0
    """How often it failed while the server took others."""
    not_before: float = 0.0
    """On the monotonic clock."""


class UnwrittenQueue:
    """What waits for one queue: batches that failed before, then what has come since."""

    def __init__(self) -> None:
        self.fresh: list[Item] = []
        self.failed: deque[Batch] = deque()
        self.writer: asyncio.Task[None] | None = None
        self.moved_at = time.monotonic()
        self.is_at_fault = False
        """Something in here is not taken by a broker that takes everything else."""

    def __len__(self) -> int:
        return len(self.fresh) + sum(len(batch.items) for batch in self.failed)

    def next(self, now: float) -> Batch | None:
        """The batch to be sent now. It is still in here, until `settled`."""
        for batch in self.failed:
            if batch.not_before <= now:
                return batch
        if not self.fresh:
            return None
        items = _first(self.fresh)
        batch = Batch(items)
        del self.fresh[: len(items)]
        self.failed.append(batch)
        return batch

    def wait(self, now: float) -> float:
        """Seconds until there is a batch to be sent."""
        return max(min(batch.not_before for batch in self.failed) - now, 0.01) if self.failed else 0.0

    def settled(self, batch: Batch) -> None:
        """It is answered."""
        self.failed.remove(batch)

    def split(self, batch: Batch) -> None:
        """Two halves in its place: what is wrong with one verdict must not keep the others waiting."""
        self.failed.remove(batch)
        half = len(batch.items) // 2
        self.failed.extendleft(Batch(part, batch.resent) for part in (batch.items[half:], batch.items[:half]))

    def is_written_to(self) -> bool:
        """Whether its writer lives."""
        return self.writer is not None and not self.writer.done()


def _first(items: list[Item]) -> list[Item]:
    """Those that go in one call: a script is to be short. What is not simply done is more work than two tasks that are, and each
    follower is as much as one.
    """
    first = items[:BATCH]
    if all([outcome.verb == _DONE and not (outcome.then or outcome.lock) for _, outcome in first]):  # noqa: C419 - a list is quicker here
        return first
    room = BATCH
    for count, (_, outcome) in enumerate(first):
        room -= (
            1 if outcome.verb == _DONE and not outcome.lock and not outcome.then else 2 + len(outcome.then)
        )
        if room < 0 and count:
            return first[:count]
    return first

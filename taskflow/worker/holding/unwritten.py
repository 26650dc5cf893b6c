"""Verdicts that are not written yet: which of a queue's go in the next call, and what stays until it is answered."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

from ...broker.commands.finish import BATCH, DONE_BATCH
from ...message.outcome import Outcome, is_plain
from ...states import Verb
from .held_tasks import Held

Item = tuple[Held, Outcome]

_DONE = Verb.DONE.value


@dataclass(slots=True, eq=False)
class Batch:
    """Verdicts that go in one call, again and again until it is answered."""

    items: list[Item]
    done: list[Held] = field(default_factory=list)
    """Tasks that are simply done."""
    resent: bool = False
    """An earlier call may have run."""
    tries: int = 0
    """How often it failed while the server took others."""
    not_before: float = 0.0
    """On the monotonic clock."""

    def __len__(self) -> int:
        return len(self.items) + len(self.done)

    def held(self) -> list[Held]:
        """Its tasks, in the order in which they are written."""
        return [held for held, _ in self.items] + self.done if self.items else self.done

    def spell_out(self) -> None:
        """Have an outcome of each task: to look for the one with which something is wrong."""
        self.items += spelled_out(self.done)
        self.done = []


class UnwrittenQueue:
    """What waits for one queue: batches that failed before, then what has come since."""

    def __init__(self) -> None:
        self.fresh: list[Item] = []
        self.done: list[Held] = []
        """Tasks that are simply done."""
        self.failed: deque[Batch] = deque()
        self.writer: asyncio.Task[None] | None = None
        self.moved_at = time.monotonic()
        self.is_at_fault = False
        """Something in here is not taken by a broker that takes everything else."""

    def __len__(self) -> int:
        return len(self.fresh) + len(self.done) + sum(map(len, self.failed))

    def next(self, now: float) -> Batch | None:
        """The batch to be sent now. It is still in here, until `settled`."""
        for batch in self.failed:
            if batch.not_before <= now:
                return batch
        if not self.fresh and not self.done:
            return None
        # Where there is both, each has half of the room: neither keeps the other waiting.
        room = (BATCH // 2 if self.done else BATCH) if self.fresh else DONE_BATCH
        items = _first(self.fresh, room) if self.fresh else []
        batch = Batch(items, self.done[:room])
        del self.fresh[: len(items)]
        del self.done[:room]
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
        parts = (batch.items[half:], batch.items[:half])
        self.failed.extendleft(Batch(part, resent=batch.resent) for part in parts)

    def is_written_to(self) -> bool:
        """Whether its writer lives."""
        return self.writer is not None and not self.writer.done()


def spelled_out(done: list[Held]) -> list[Item]:
    """Tasks that are simply done, each with the outcome that says so."""
    return [(held, Outcome(0, _DONE)) for held in done]


def _first(items: list[Item], room: int) -> list[Item]:
    """Those that go in one call: a script is to be short. What is not simply done is more work than two tasks that are, and each
    follower is as much as one.
    """
    first = items[:room]
    for count, (_, outcome) in enumerate(first):
        room -= 1 if is_plain(outcome) else 2 + len(outcome.then) + len(outcome.said)
        if room < 0 and count:
            return first[:count]
    return first

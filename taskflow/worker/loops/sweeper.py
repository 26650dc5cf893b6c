"""Looks for what is broken in a queue, and puts it right: what no transition leaves behind, and yet is found."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter, deque

from ...broker.aio import AsyncBroker
from ...broker.commands.repairs import Repair, Repaired
from ...broker.commands.sweep import Survey, reclaim, repair
from ...broker.walk import FirstLooks, Walk
from ...telemetry.saying import counted
from ..service import TIMEOUT, Service
from ..taking.idle_backoff import IdleBackoff

logger = logging.getLogger("taskflow.worker")

MOST_LOOKS = 25
"""Looks of one round of the loop: 5000 running tasks."""

MOST_REPAIRS = 25
"""Calls of one round that put tasks right."""

QUIET = frozenset({Repair.FINE, Repair.UNLEASED, Repair.UNCLEAR})


class Sweeper(Service):
    """The loop of one queue; every worker runs it, at its own moments. One command a round if all is well.

    Its arguments are those of `Recoverer`.

    Args:
        joins: whether this worker's app has a rule for the queue's aggregation groups.
    """

    def __init__(self, queue: str, broker: AsyncBroker, backoff: IdleBackoff, *, joins: bool = True) -> None:
        super().__init__()
        self._backoff = backoff
        self.name = f"sweeper of queue {queue}"
        self._queue = queue
        self._broker = broker
        self._walk = Walk(queue)
        self._first_looks = FirstLooks()
        self._reported: set[str] = set()
        self._joins = joins

    async def tick(self) -> float:
        """Look at everything that runs, and at a part of what waits."""
        for _ in range(MOST_LOOKS):
            found = await self._broker.run(self._walk.look(), TIMEOUT)
            self._walk.take(found)
            self.progressed()
            await self._repair(found)
            await self._reclaim(found)
            self._report_broken(found.broken)
            self._report_groups(found.groups)
            if not self._walk.is_amid_active:
                break
        return self.timings.sweep * random.uniform(0.9, 1.1) * self._backoff.stretch(3)

    async def _repair(self, found: Survey) -> None:
        left = deque(self._first_looks.items(found.doubtful, time.monotonic(), self.timings.second_look))
        done: list[Repaired] = []
        for _ in range(MOST_REPAIRS):
            if not left:
                break
            replies = await self._broker.run(
                repair(self._queue, list(left), trial=self.timings.trial), TIMEOUT
            )
            self.progressed()
            for repaired in replies:
                left.popleft()
                self._first_looks.note(repaired, time.monotonic())
                self._walk.note(repaired)
                done.append(repaired)
        self._report(done)

    async def _reclaim(self, found: Survey) -> None:
        empty = found.empty_groups
        if not found.stale_sets and not empty:
            return
        moved = 0
        for _ in range(MOST_REPAIRS):
            done = await self._broker.run(reclaim(self._queue, empty), TIMEOUT)
            self.progressed()
            moved += done.moved
            empty = []
            if not done:
                break
        if moved:
            logger.warning(
                "Queue %s: %s went back into aggregation groups, from aggregations that nobody finished",
                self._queue,
                counted(moved, "task"),
            )

    def _report(self, done: list[Repaired]) -> None:
        counts = Counter(one.repair for one in done if one.repair not in QUIET)
        for kind, count in counts.items():
            ids = [one.item.id for one in done if one.repair is kind]
            shown = ", ".join(ids[:5]) + (", ..." if count > 5 else "")
            # What cannot be mended is found again in every round: it is said once.
            if kind is not Repair.FAILED or self._is_news(shown):
                logger.warning("Queue %s: %s (%a)", self._queue, kind.sentence(count), shown)

    def _report_broken(self, keys: list[str]) -> None:
        for key in keys:
            if self._is_news(key):
                logger.error(
                    "Queue %s: key %a is of a wrong type; `taskflow doctor` says which", self._queue, key
                )

    def _report_groups(self, groups: list[str]) -> None:
        # Another program's worker, or a server of Go's, may join them: that cannot be seen from here, so it is said once.
        if groups and not self._joins and self._is_news("groups"):
            logger.warning(
                "Queue %s: tasks wait in aggregation group %a, and this app has no app.aggregate(..., queue=%r): unless another "
                "program joins them they wait for ever",
                self._queue,
                groups[0],
                self._queue,
            )

    def _is_news(self, text: str) -> bool:
        if text in self._reported:
            return False
        if len(self._reported) < 1000:
            self._reported.add(text)
        return True

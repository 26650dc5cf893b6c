"""Finds the partitions of the queues that a worker serves: those that its app declares, and all others while they hold tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from ...broker.aio import AsyncBroker
from ...broker.commands.enqueue import publish_queues
from ...broker.commands.partitions import Paused, are_listed, has_tasks, pause_of
from ...errors import BrokerError
from ...partitions import partition_names
from ..service import Service

logger = logging.getLogger("taskflow.worker")

THOROUGH = 30
"""In so many looks also those partitions are asked, a few each time, that stand in no index: whoever filled one may have died
first.
"""

LINGER = 3
"""For so many looks without a task a partition that is not declared is still served: clients that know of it fill it again."""

TIMEOUT = 2.0
"""Seconds of one request. A node that is away keeps the worker from no partition on the others."""


AT_ONCE = 8
"""Queues that are looked at together: each has connections of its own meanwhile."""


class Partitions(Service):
    """Tells the worker what to serve.

    An app may be told of fewer partitions than there are: it was shrunk, or another program was grown first. Workers serve
    what holds tasks, declared or not, so nothing waits for a configuration.

    Args:
        queues: what the worker serves.
        declared: how many partitions each has; 1 if it is not here.
        broker: where to look.
        begin: serves a partition of a queue.
        end: serves a partition no more.
    """

    name = "partitions"

    def __init__(
        self,
        queues: Iterable[str],
        declared: Mapping[str, int],
        broker: AsyncBroker,
        begin: Callable[[str, str], None],
        end: Callable[[str], Awaitable[None]],
    ) -> None:
        super().__init__()
        self._declared = {queue: partition_names(queue, declared.get(queue, 1)) for queue in queues}
        self._others = {
            queue: partition_names(queue)[len(names) :] for queue, names in self._declared.items()
        }
        self._broker = broker
        self._begin = begin
        self._end = end
        self._served: set[str] = set()
        self._filled_at: dict[str, int] = {}
        """By partition that is not declared: the look that last found a task in it."""
        self._paused: dict[str, list[str]] = {}
        """By queue: the partitions that were last found paused."""
        self._failed: BrokerError | None = None
        self.looks = 0
        """How many are done."""

    @property
    def declared(self) -> list[str]:
        """The names of all partitions that the app declares."""
        return [name for names in self._declared.values() for name in names]

    def declare(self, queue: str, count: int) -> bool:
        """Serve a queue too, or more partitions of it, from the next look on; the queue itself at once. Whether anything is new.

        What is declared no more is served all the same, as long as it is there.
        """
        names = partition_names(queue, count)
        if len(names) <= len(self._declared.get(queue, ())):
            return False
        self._declared[queue] = names
        self._others[queue] = partition_names(queue)[len(names) :]
        if self.looks:
            self._start(queue, queue)
        return True

    async def tick(self) -> float:
        """One look at every queue."""
        if not self.looks:
            # All at the same moment, and before any node is asked: in strict order no queue may begin before a weightier one.
            for queue in self._declared:
                self._start(queue, queue)
        self._failed = None
        queues = list(self._declared)
        for start in range(0, len(queues), AT_ONCE):
            part = queues[start : start + AT_ONCE]
            await asyncio.gather(*(self._look(queue, self._unlisted(queue)) for queue in part))
            self.lives()
        self.looks += 1
        if self._failed is not None:
            raise self._failed
        return self.timings.partitions

    def _unlisted(self, queue: str) -> list[str]:
        """Whom to ask this time, listed or not. Nobody at the start, when tasks wait for the first fetch."""
        return list(self._others[queue][(self.looks - 1) % THOROUGH :: THOROUGH]) if self.looks else []

    async def _look(self, queue: str, asked: list[str]) -> None:
        others = self._others[queue]
        (listed,) = await self._broker.run_many([are_listed(others)], TIMEOUT)
        known = not isinstance(listed, BrokerError)
        if isinstance(listed, BrokerError):
            self._failed = listed
        there = [name for name, is_there in zip(others, listed, strict=True) if is_there] if known else []
        filled = await self._filled(queue, dict.fromkeys([*there, *asked]))
        if found := [name for name in filled if name not in there and name in asked]:
            # The tools look in the index, and so do other workers.
            await self._broker.run_many([publish_queues(found)], TIMEOUT)
        wanted = dict.fromkeys([*self._declared[queue], *filled])
        if len(wanted) > 1:
            await self._heed_pauses(queue, list(wanted))
        for name in wanted:
            if name in others and name not in self._served:
                logger.info("Serving partition %s of queue %s too", name, queue)
            self._start(name, queue)
        for name in self._served.intersection(others).difference(wanted):
            if known and name not in there:
                await self._leave(name, queue, "was removed")
            elif name in there:
                await self._leave(name, queue, "holds no tasks: it is not served until it does")

    async def _filled(self, queue: str, names: Iterable[str]) -> list[str]:
        """Those that hold tasks, or did a moment ago. What the app does not declare is served for its tasks only: anybody who
        may enqueue may also enter 63 names in the index, and would make each worker open connections for all of them.
        """
        names = list(names)
        replies = await self._broker.run_many([has_tasks(name) for name in names], TIMEOUT) if names else []
        for name, reply in zip(names, replies, strict=True):
            # A node that does not answer may hold tasks: what was served on it goes on being served.
            if reply is True or (name in self._served and isinstance(reply, BrokerError)):
                self._filled_at[name] = self.looks
        return [name for name in names if self.looks - self._filled_at.get(name, -LINGER) < LINGER]

    async def _heed_pauses(self, queue: str, names: Sequence[str]) -> None:
        """A partition that comes after a pause of the whole queue does not go on without the others. What Go's tools pause is one
        partition: the others go on, and that is said, since hardly anybody wants it.
        """
        replies = await self._broker.run_many([pause_of(name) for name in names], TIMEOUT)
        pauses = dict(zip(names, replies, strict=True))
        if pauses[queue] is Paused.WHOLE:
            from ...broker.commands.queues import (
                pause,  # here, for the start-up: it is rare, and brings the commands of the tools
            )

            late = [name for name in names if name not in self._served and pauses[name] is Paused.NONE]
            await self._broker.run_many([pause(name, whole=True) for name in late], TIMEOUT)
            pauses |= dict.fromkeys(late, Paused.WHOLE)
        paused = [name for name in names if pauses[name] in (Paused.ALONE, Paused.WHOLE)]
        if any(isinstance(reply, BrokerError) for reply in replies) or paused == self._paused.get(queue, []):
            return
        self._paused[queue] = paused
        if 0 < len(paused) < len(names):
            logger.warning(
                "Queue %s is partly paused: %s; its other %d partitions go on, and tasks still go to all of them. Tools of Go's "
                "pause and resume one partition only; `taskflow queue resume` and `taskflow queue pause` do all",
                queue,
                ", ".join(paused[:5]) + (", ..." if len(paused) > 5 else ""),
                len(names) - len(paused),
            )

    def _start(self, name: str, queue: str) -> None:
        if name not in self._served:
            self._served.add(name)
            self._begin(name, queue)

    async def _leave(self, name: str, queue: str, why: str) -> None:
        self._served.discard(name)
        logger.info("Partition %s of queue %s %s", name, queue, why)
        await self._end(name)

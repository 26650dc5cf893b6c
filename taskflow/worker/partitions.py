"""Finds the partitions of the queues that a worker serves: those that its app declares, and all others that hold tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from ..broker.aio import AsyncBroker
from ..broker.commands.enqueue import publish_queues
from ..broker.commands.partitions import are_listed, has_tasks, is_paused
from ..broker.commands.queues import pause
from ..connection.steps import Request
from ..errors import BrokerError
from ..partitions import partition_names
from .service import Service

logger = logging.getLogger("taskflow.worker")

PERIOD = 10.0
"""Seconds between two looks at the index of all queues: so long a partition that is new to this worker may wait."""

THOROUGH = 30
"""In so many looks also those partitions are asked, a few each time, that stand in no index: whoever filled one may have died
first.
"""

TIMEOUT = 2.0
"""Seconds of one look. A node that is away keeps the worker from no partition on the others."""


class Partitions(Service):
    """Tells the worker what to serve.

    An app may be told of fewer partitions than there are: it was shrunk, or another program was grown first. Workers serve
    what is there until it is removed (`taskflow queue rm images~5rm`), so nothing waits for a configuration.

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
            # All at the same moment, and before anybody is asked: in strict order no queue may have a start.
            for queue in self._declared:
                self._start(queue, queue)
        await asyncio.gather(*(self._look(queue, self._unlisted(queue)) for queue in self._declared))
        self.looks += 1
        return PERIOD

    def _unlisted(self, queue: str) -> list[str]:
        """Whom to ask this time, listed or not. Nobody at the start, when tasks wait for the first fetch."""
        return list(self._others[queue][(self.looks - 1) % THOROUGH :: THOROUGH]) if self.looks else []

    async def _look(self, queue: str, asked: list[str]) -> None:
        others = self._others[queue]
        commands: list[Request] = [is_paused(queue), are_listed(others), *map(has_tasks, asked)]
        paused, listed, *filled = await self._broker.run_many(commands, TIMEOUT)
        wanted = list(self._declared[queue])
        if not isinstance(listed, BrokerError):
            wanted += [name for name, is_there in zip(others, listed, strict=True) if is_there]
        if found := [name for name, has in zip(asked, filled, strict=True) if has is True]:
            # Where the tools look, and the other workers.
            await self._broker.run_many([publish_queues(found)], TIMEOUT)
            wanted += found
        await self._serve(queue, dict.fromkeys(wanted), is_queue_paused=paused is True)
        if not isinstance(listed, BrokerError):
            for name in self._served.intersection(others).difference(wanted):
                self._served.discard(name)
                logger.info("Partition %s of queue %s was removed", name, queue)
                await self._end(name)

    async def _serve(self, queue: str, wanted: Iterable[str], *, is_queue_paused: bool) -> None:
        for name in wanted:
            if name in self._served:
                continue
            if is_queue_paused and name != queue:
                # A partition that came after the pause does not go on without the others.
                await self._broker.run_many([pause(name)], TIMEOUT)
            if name in self._others[queue]:
                logger.info("Serving partition %s of queue %s too", name, queue)
            self._start(name, queue)

    def _start(self, name: str, queue: str) -> None:
        if name not in self._served:
            self._served.add(name)
            self._begin(name, queue)

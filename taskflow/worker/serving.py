"""What a worker serves: its queues and their partitions, each with loops of its own that come and go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from ..pipe import frames
from .errands import Errands
from .health.troubles import Troubles
from .loops.late_start import LateStart
from .parts import Parts
from .service import Service
from .services import PER_WORKER, ForQueue, ForWorker, fetcher
from .taking.fetcher import Fetcher
from .taking.idle_backoff import IdleBackoff
from .taking.partitions import Partitions
from .taking.takers import Takers

logger = logging.getLogger("taskflow.worker")


class Serving:
    """The loops of one worker.

    Args:
        parts: what they share.
        queues: weight by name, of all that is served at first.
        hello: what the app says.
        troubles: where the loops say their failures.
        errands: what is done besides.
        stop: is set when the worker is to end.
    """

    def __init__(
        self,
        parts: Parts,
        queues: Mapping[str, int],
        hello: frames.Hello,
        troubles: Troubles,
        errands: Errands,
        stop: asyncio.Event,
    ) -> None:
        self._parts = parts
        self._troubles = troubles
        self._stop = stop
        self._rules: dict[str, frames.Aggregation] = {rule.queue: rule for rule in hello.aggregations}
        self._stores = hello.stores
        self._loops: dict[str, list[Service]] = {}
        """Those of each queue that is served, and of each partition."""
        self.takers = Takers(errands)
        """What takes tasks."""
        self.queues = dict(queues)
        """Weight by name."""
        self.services: list[Service] = []
        """All loops that there are now."""
        self.status = "active"
        """What the worker's record says of it."""
        self.partitions = Partitions(queues, hello.partitions, parts.broker, self._begin, self._leave)
        self._at = ForWorker(
            parts,
            self.queues,
            self.partitions,
            lambda: self.status,
            self._served,
            stop.set,
            self.takers.are_unsure,
        )
        self._unkept: dict[str, ForQueue] | None = {}
        """What has no upkeep yet, by name; None: each queue gets it at once from now on."""
        loops = [loop for make in PER_WORKER if (loop := make(self._at)) is not None]
        self._watch([*loops, LateStart(f"{__package__}.upkeep", self._keep_up)])

    def start(self) -> None:
        """Start what runs once; the loops of the queues come with the first look at their partitions."""
        for service in list(self.services):
            service.start()

    def quiet(self) -> None:
        """Take nothing more; go on with what runs."""
        if self.takers.are_open:
            self.status = "stopped"
            logger.info("Quiet: no more tasks are taken")
            self.takers.quiet()

    def resume(self) -> None:
        """Take tasks again after `quiet`."""
        if not self.takers.are_open and not self._stop.is_set():
            self.status = "active"
            logger.info("Taking tasks again")
            self.takers.resume()

    def learn(self, queues: Mapping[str, int], hello: frames.Hello) -> None:
        """A new child may know queues that those before it did not: a deployment, then SIGHUP."""
        if self._stop.is_set():
            return
        self._rules.update({rule.queue: rule for rule in hello.aggregations})
        self._stores = self._stores or hello.stores
        for queue, weight in queues.items():
            self._parts.allocator.declare(queue, weight)
            self.queues.setdefault(queue, weight)
            if self.partitions.declare(queue, hello.partitions.get(queue, 1)):
                logger.info("Serving queue %s as the new code names it", queue)

    def names(self) -> list[str]:
        """What is served now: queues, and partitions."""
        return list(self._loops)

    async def stop(self) -> None:
        """Stop all loops."""
        await asyncio.gather(*(service.stop() for service in self.services))

    async def clear(self) -> None:
        """Remove what the loops have left on the server about this worker; they have stopped."""
        for service in self.services:
            await service.clear()

    # --- what comes and goes --------------------------------------------------------------------------------

    def _begin(self, name: str, queue: str) -> None:
        """Serve a queue, or a partition of it."""
        if self._stop.is_set():
            return
        self._parts.allocator.add(name, queue)
        at = ForQueue(name, queue, IdleBackoff(), self._rules.get(queue), self._parts, self._stores)
        taker = fetcher(at)
        self._loops[name] = [taker]
        self._watch([taker])
        self.takers.add(taker)
        if self._unkept is None:
            self._keep(at)
        else:
            self._unkept[name] = at

    def _keep_up(self) -> None:
        """Begin what no task waits for, of the worker and of the queues that there are; later ones have theirs at once."""
        if self._unkept is None or self._stop.is_set():
            return
        from .upkeep import OF_WORKER  # here, for the start-up

        loops = [make(self._at) for make in OF_WORKER]
        waiting, self._unkept = self._unkept, None
        self._start(loops)
        for at in waiting.values():
            if at.name in self._loops:
                self._keep(at)

    def _keep(self, at: ForQueue) -> None:
        from .upkeep import OF_QUEUE

        loops = [loop for make in OF_QUEUE if (loop := make(at)) is not None]
        self._loops[at.name] += loops
        self._start(loops)

    def _start(self, loops: Sequence[Service]) -> None:
        self._watch(loops)
        for loop in loops:
            loop.start()

    async def _leave(self, name: str) -> None:
        """Serve a partition no more."""
        loops = self._loops.pop(name)
        self.services[:] = [service for service in self.services if service not in loops]
        for loop in loops:
            if isinstance(loop, Fetcher):
                self.takers.remove(loop)
        await asyncio.gather(*(loop.stop() for loop in loops))
        self._parts.allocator.remove(name)
        self._parts.subscriber.remove(name)

    def _watch(self, services: Sequence[Service]) -> None:
        """Loops whose progress is watched, and whose failures are told."""
        for service in services:
            service.troubles = self._troubles
            service.timings = self._parts.config.timings
        self.services += services

    def _served(self) -> list[str] | None:
        if not self.partitions.looks or self._unkept is not None:
            return None
        finders = (loop for loops in self._loops.values() for loop in loops if not isinstance(loop, Fetcher))
        return self.names() if all(loop.has_looked for loop in finders) else None

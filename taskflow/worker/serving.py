"""What a worker serves: its queues and their partitions, each with loops of its own that come and go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from ..pipe import frames
from .errands import Errands
from .health.troubles import Troubles
from .loops.heartbeat import Heartbeat
from .parts import Parts
from .service import Service
from .services import PER_QUEUE, PER_WORKER, ForQueue, ForWorker
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
        self._loops: dict[str, list[Service]] = {}
        """Those of each queue that is served, and of each partition."""
        self.takers = Takers(errands)
        """What takes tasks."""
        self.queues = dict(queues)
        """Weight by name."""
        self.services: list[Service] = []
        """All loops that there are now."""
        config = parts.config
        self.partitions = Partitions(queues, hello.partitions, parts.broker, self._begin, self._leave)
        self.heartbeat = Heartbeat(
            parts.broker,
            parts.identity,
            queues,
            published=self.partitions.declared,
            strict=config.strict,
            concurrency=config.total,
            running=parts.supervisor.running,
            clock=parts.clock,
        )
        at = ForWorker(parts, self.heartbeat, self.partitions, self._served, stop.set)
        self._watch([loop for make in PER_WORKER if (loop := make(at)) is not None])

    def start(self) -> None:
        """Start what runs once; the loops of the queues come with the first look at their partitions."""
        for service in list(self.services):
            service.start()

    def quiet(self) -> None:
        """Take nothing more; go on with what runs."""
        if self.takers.are_open:
            self.heartbeat.status = "stopped"
            logger.info("Quiet: no more tasks are taken")
            self.takers.quiet()

    def resume(self) -> None:
        """Take tasks again after `quiet`."""
        if not self.takers.are_open and not self._stop.is_set():
            self.heartbeat.status = "active"
            logger.info("Taking tasks again")
            self.takers.resume()

    def learn(self, queues: Mapping[str, int], hello: frames.Hello) -> None:
        """A new child may know queues that those before it did not: a deployment, then SIGHUP."""
        if self._stop.is_set():
            return
        self._rules.update({rule.queue: rule for rule in hello.aggregations})
        fresh = False
        for queue, weight in queues.items():
            self._parts.allocator.declare(queue, weight)
            self.queues.setdefault(queue, weight)
            if self.partitions.declare(queue, hello.partitions.get(queue, 1)):
                logger.info("Serving queue %s as the new code names it", queue)
                fresh = True
        if fresh:
            self.heartbeat.serve(self.queues, self.partitions.declared)

    def names(self) -> list[str]:
        """What is served now: queues, and partitions."""
        return list(self._loops)

    async def stop(self) -> None:
        """Stop all loops."""
        await asyncio.gather(*(service.stop() for service in self.services))

    # --- what comes and goes --------------------------------------------------------------------------------

    def _begin(self, name: str, queue: str) -> None:
        """Serve a queue, or a partition of it."""
        if self._stop.is_set():
            return
        self._parts.allocator.add(name, queue)
        at = ForQueue(name, queue, IdleBackoff(), self._rules.get(queue), self._parts)
        self._loops[name] = loops = [loop for make in PER_QUEUE if (loop := make(at)) is not None]
        self._watch(loops)
        for loop in loops:
            if isinstance(loop, Fetcher):
                self.takers.add(loop)
            else:
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
        return self.names() if self.partitions.looks else None

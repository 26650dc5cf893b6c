"""How tasks are enqueued, whatever it takes: one by one, many as they come, by way of the router (no I/O).

Each way is a generator: it yields what is to be done (`Run`, `Join`, `Know`) and is sent what came of it. The client carries the
steps out, for threads and for coroutines. A usual `.delay()` needs none of it: the client knows what to do with it by itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..broker.commands.enqueue import NewTask, publish_queues
from ..connection.steps import NotSent, Request
from ..connection.topology import Address
from ..errors import StoreError
from ..message.message_crypto import NO_KEYS, MessageCrypto
from ..message.offload import LONGEST_ENQUEUE
from .bulk import (
    ENQUEUED,
    Bulk,
    EnqueueOutcome,
    Loader,
    bulk_of,
    has_published,
    is_all_created,
    outcomes_of,
    undurable,
)
from .listed import INDEX_SLOT, PATIENCE, Listed
from .routing import Ask, Placed, Router, Send

WARN_SECONDS = 60.0

LAST_TRY = 0.001
"""Seconds for a step that comes after the deadline: it says why nothing could be done."""

logger = logging.getLogger("taskflow.client")

OnOutcomes = Callable[[Sequence[NewTask], list[EnqueueOutcome]], None]
"""Told what became of some of the tasks, in their order."""

Meanwhile = Callable[[], None]

Way = tuple[Address | None, bool, bool]
"""What calls have to agree in to share a round trip: the node, `durable`, and `movable`."""


@dataclass(frozen=True, slots=True)
class Run:
    """Run these requests within so many seconds; answer with their values, or the errors in their places.

    `meanwhile` is called once while they are under way.
    """

    requests: Sequence[Request]
    timeout: float
    meanwhile: Meanwhile | None = None


@dataclass(frozen=True, slots=True)
class Join:
    """Enqueue this task together with those of others; answer with what became of it."""

    task: NewTask
    timeout: float
    movable: bool


@dataclass(frozen=True, slots=True)
class Know:
    """Answer with the topology."""


Step = Run | Join | Know
Steps = Generator[Step, Any, list[EnqueueOutcome]]


class Enqueueing:
    """What a client knows and decides. Used by all of its threads and event loops.

    Args:
        crypto: signs and encrypts what is enqueued; None: nobody does.
        partitions: over how many partitions queues are spread, by name.

    Attributes:
        router: chooses partitions, where there are any.
        listed: which queues were entered in the index of all queues.
        closes: whether messages are signed or encrypted.
        undurable: how many durable tasks were taken by a node that had no replica.
    """

    def __init__(self, crypto: MessageCrypto | None, partitions: Mapping[str, int] | None) -> None:
        self._crypto = crypto or NO_KEYS
        self.closes = crypto is not None
        self._offload = self._crypto.offload
        self.router = Router(partitions) if partitions else None
        self.listed = Listed()
        self.undurable = 0
        self._warned_at = -WARN_SECONDS

    def one(self, router: Router, task: NewTask, timeout: float) -> Steps:
        """Enqueue one task by way of the router."""
        deadline = time.monotonic() + timeout
        topology = yield Know()
        placed = router.place(task, topology.is_avoided)
        if placed is not None:
            outcome = yield Join(placed, timeout, True)
            if not isinstance(outcome.error, NotSent):
                return [replace(outcome, task=placed)]
        return (yield from self._routed(router, (task,), max(deadline - time.monotonic(), LAST_TRY)))

    def many(
        self, tasks: Iterable[NewTask], timeout: float, on_outcomes: OnOutcomes
    ) -> Generator[Step, Any, None]:
        """Enqueue tasks as they come, and tell `on_outcomes` what became of the tasks of each bulk."""
        loader = Loader(tasks, self._load)
        timeout = self.within(timeout)
        # What is put into a store is waited for: not while a trip is under way, since on an event loop nothing else would run.
        meanwhile = loader.load if self._offload is None else None
        while (loaded := loader.take()) is not None:
            new, bulk = loaded
            if bulk is not None:
                outcomes = yield from self.bulk(bulk, timeout, meanwhile)
            else:
                assert self.router is not None
                outcomes = yield from self._routed(self.router, new, timeout, meanwhile)
            on_outcomes(new, outcomes)

    def together(self, way: Way, tasks: list[NewTask], timeout: float, resent: bool) -> Steps:
        """Send the tasks of a group commit. `resent`: earlier copies of them may have run."""
        # What may have run already cannot be said to have certainly not been sent.
        bulk = bulk_of(tasks, self.listed.names, resent=resent, movable=way[2] and not resent)
        return self.bulk(bulk, timeout)

    def bulk(self, bulk: Bulk, timeout: float, meanwhile: Meanwhile | None = None) -> Steps:
        """Send a bulk."""
        outcomes = self.home(bulk, (yield Run(bulk.requests, timeout, meanwhile)))
        if queues := self.listed.again(bulk.tasks):
            topology = yield Know()
            if not topology.is_avoided(INDEX_SLOT):
                yield Run([publish_queues(queues)], min(timeout, PATIENCE))
        return outcomes

    def home(self, bulk: Bulk, values: list[Any]) -> list[EnqueueOutcome]:
        """Learn from what came back: what became of the tasks, and of the queues and nodes."""
        if is_all_created(bulk, values):
            return [ENQUEUED] * len(bulk.tasks)
        if has_published(bulk, values):
            self.listed.add({task.terms.queue for task in bulk.tasks})
        if count := undurable(bulk, values):
            self._warn_undurable(bulk.tasks[0].terms.queue, count)
        return outcomes_of(bulk, values)

    def closed(self, task: NewTask) -> NewTask:
        """The task as it is stored: compressed, encrypted, put away, and signed, as far as that is asked for."""
        return task.closed(self._crypto) if self.closes or task.terms.compresses else task

    def within(self, timeout: float) -> float:
        """Seconds that enqueueing may take: what is in the store and waits longer for its task is taken for garbage."""
        return timeout if self._offload is None else min(timeout, LONGEST_ENQUEUE)

    def puts_away(self, task: NewTask) -> bool:
        """Whether closing it takes a trip to the app's store, most likely: nothing to wait for on an event loop."""
        return self._offload is not None and len(task.payload) > self._offload.over

    # --------------------------------------------------------------------------------------------------------

    def _routed(
        self, router: Router, tasks: Sequence[NewTask], timeout: float, meanwhile: Meanwhile | None = None
    ) -> Steps:
        deadline = time.monotonic() + timeout
        topology = yield Know()
        steps = router.route(tasks, topology.is_avoided)
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return [_placed(one) for one in end.value]
            left = max(deadline - time.monotonic(), LAST_TRY)
            match step:
                case Ask(requests, seconds):
                    answer = yield Run(requests, min(left, seconds or left))
                case Send([only], movable):
                    answer = [(yield Join(only, left, movable))]
                case Send(placed, movable):
                    answer = yield from self.bulk(self._bulk(placed, movable=movable), left, meanwhile)
                    meanwhile = None

    def _bulk(self, tasks: Sequence[NewTask], *, movable: bool = False) -> Bulk:
        closes = self.closes or any(task.terms.compresses for task in tasks)
        began = time.monotonic()
        closed = [self.closed(task) for task in tasks] if closes else tasks
        if self._offload is not None and time.monotonic() - began > LONGEST_ENQUEUE:
            raise StoreError(
                f"the store took over {LONGEST_ENQUEUE:g} s for the payloads of {len(tasks)} tasks: what waits longer for its "
                "task is taken for garbage"
            )
        return bulk_of(closed, self.listed.names, movable=movable)

    def _load(self, tasks: list[NewTask]) -> tuple[list[NewTask], Bulk | None]:
        """The next tasks of a bulk, and what takes them to the broker; None: the router has to look at them."""
        if self.router is not None and self.router.concerns(tasks):
            return tasks, None
        return tasks, self._bulk(tasks)

    def _warn_undurable(self, queue: str, count: int) -> None:
        self.undurable += count
        now = time.monotonic()
        if now - self._warned_at > WARN_SECONDS:
            self._warned_at = now
            logger.warning(
                "Tasks of queue %s are on one node only: it has no replica just now (%d so far)",
                queue,
                self.undurable,
            )


def _placed(placed: Placed[EnqueueOutcome]) -> EnqueueOutcome:
    if isinstance(placed.outcome, EnqueueOutcome):
        return replace(placed.outcome, task=placed.task)
    return EnqueueOutcome(placed.outcome)

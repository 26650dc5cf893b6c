"""Enqueue: from messages to the broker, synchronous and asyncio, with an honest outcome for each."""

from __future__ import annotations

# Python imports it when a host name is first looked up. A process that is forked while another thread does so waits for ever for
# that thread, which it does not have.
import encodings.idna  # noqa: F401
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ..broker.aio import AsyncBroker
from ..broker.commands.enqueue import NewTask, publish_queues
from ..broker.keys import queue_keys
from ..broker.scripts import load
from ..broker.sync import Broker
from ..connection.aio import AsyncDriver
from ..connection.sync import SyncDriver
from ..connection.topology import Address
from ..errors import BrokerUnavailable
from ..message.seal import NO_KEYS, Seal
from .bulk import (
    ENQUEUED,
    Bulk,
    EnqueueOutcome,
    Loader,
    bulk_of,
    has_published,
    is_all_created,
    is_undecided,
    of_task,
    outcomes_of,
    undurable,
)
from .group_commit import AsyncGroupCommit, GroupCommit
from .listed import INDEX_SLOT, PATIENCE, Listed
from .loops import LoopSide, LoopSides
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


class Client:
    """What an app enqueues with.

    Connects at the first use; threads, event loops and forks each get their own connections.

    Args:
        url: the broker.
        seal: signs and encrypts what is enqueued, and decrypts results; None: neither.
        partitions: over how many partitions queues are spread, by name.
        app: the name of the app, by which a handle that was pickled finds it again.
    """

    def __init__(
        self,
        url: str,
        seal: Seal | None = None,
        partitions: Mapping[str, int] | None = None,
        *,
        app: str = "",
    ) -> None:
        self.url = url
        self.app = app
        self.seal = seal or NO_KEYS
        self._closes = seal is not None
        self._broker: Broker | None = None
        self._made: dict[str, Broker] = {}
        self._commit: GroupCommit[Way, NewTask, EnqueueOutcome] = GroupCommit(self._together, is_undecided)
        self._loops: LoopSides[AsyncGroupCommit[Way, NewTask, EnqueueOutcome]] = LoopSides(self._loop_side)
        self._router = Router(partitions) if partitions else None
        self._listed = Listed()
        self._warned_at = -WARN_SECONDS
        load("enqueue")  # now, and not from a folder that has been replaced when the first call is made
        self.undurable = 0
        """How many durable tasks were taken by a node that had no replica."""

    @property
    def broker(self) -> Broker:
        """The broker for threads."""
        if self._broker is None:
            # Without a lock, which a signal handler would wait for in vain if it came in here while its own thread holds it.
            # Of two that are made at once one is dropped before it has connected.
            self._broker = self._made.setdefault(self.url, Broker(SyncDriver(self.url)))
        return self._broker

    @property
    def async_broker(self) -> AsyncBroker:
        """The broker for the running event loop."""
        return self._loops.here().broker

    def enqueue(self, task: NewTask, timeout: float) -> EnqueueOutcome:
        """Enqueue one task, in one round trip with those that other threads enqueue at the same moment.

        Args:
            task: the message, and when it is to run.
            timeout: seconds that this may take over reconnections and fail-overs.

        Raises:
            DuplicateTask: the unique lock is held.
            TaskIdConflict: the queue has another task of this id.
            BrokerUnavailable: no answer in time; the task may have been enqueued. Its `task_id` makes a
                repetition safe.
            NotDurable: with "strict", it is enqueued, but no replica has it.
        """
        if self._router is not None and self._router.concerns((task,)):
            return _checked(self._routed(self._router, (task,), timeout)[0])
        return _checked(self._one(task, timeout))

    async def aenqueue(self, task: NewTask, timeout: float) -> EnqueueOutcome:
        """As `enqueue`, from a coroutine, with those that other coroutines of the event loop enqueue."""
        if self._router is not None and self._router.concerns((task,)):
            return _checked((await self._arouted(self._router, (task,), timeout))[0])
        return _checked(await self._aone(task, timeout))

    def enqueue_many(self, tasks: Iterable[NewTask], timeout: float, on_outcomes: OnOutcomes) -> None:
        """Enqueue tasks as they come, one script call per queue and chunk: the next are made while the last are under way.

        Args:
            tasks: the tasks. What it raises is raised here; those before have been enqueued.
            timeout: seconds for each bulk of up to `LARGEST_BULK` tasks.
            on_outcomes: is told what became of the tasks of each bulk.
        """
        loader = Loader(tasks, self._load)
        while (loaded := loader.take()) is not None:
            new, bulk = loaded
            if bulk is not None:
                outcomes = self._run(bulk, timeout, loader.load)
            else:
                assert self._router is not None
                outcomes = self._routed(self._router, new, timeout, loader.load)
            on_outcomes(new, outcomes)

    async def aenqueue_many(self, tasks: Iterable[NewTask], timeout: float, on_outcomes: OnOutcomes) -> None:
        """As `enqueue_many`, from a coroutine."""
        broker = self.async_broker
        loader = Loader(tasks, self._load)
        while (loaded := loader.take()) is not None:
            new, bulk = loaded
            if bulk is not None:
                outcomes = await self._arun(broker, bulk, timeout, loader.load)
            else:
                assert self._router is not None
                outcomes = await self._arouted(self._router, new, timeout, loader.load)
            on_outcomes(new, outcomes)

    def close(self) -> None:
        """Close the idle connections of threads, and those of event loops that are closed. The client can be used again."""
        if self._broker is not None:
            self._broker.close()
        self._loops.sweep()

    async def aclose(self) -> None:
        """Close the idle connections of the running event loop."""
        side = self._loops.pop()
        if side is not None:
            await side.broker.close()

    # --- by way of the router -------------------------------------------------------------------------------

    def _routed(
        self, router: Router, tasks: Sequence[NewTask], timeout: float, meanwhile: Meanwhile | None = None
    ) -> list[EnqueueOutcome]:
        deadline = time.monotonic() + timeout
        steps = router.route(tasks, self.broker.driver.topology.is_avoided)
        answer: list[Any] | None = None
        while True:
            try:
                step = steps.send(answer)  # type: ignore[arg-type]
            except StopIteration as end:
                return [_placed(one) for one in end.value]
            left = max(deadline - time.monotonic(), LAST_TRY)
            match step:
                case Ask(requests, patience):
                    answer = self.broker.run_many(requests, min(left, patience or left))
                case Send([only], movable):
                    answer = [self._one(only, left, movable=movable)]
                case Send(placed, movable):
                    answer = self._run(self._bulk(placed, movable=movable), left, meanwhile)
                    meanwhile = None

    async def _arouted(
        self, router: Router, tasks: Sequence[NewTask], timeout: float, meanwhile: Meanwhile | None = None
    ) -> list[EnqueueOutcome]:
        deadline = time.monotonic() + timeout
        broker = self.async_broker
        steps = router.route(tasks, (await broker.driver.open()).is_avoided)
        answer: list[Any] | None = None
        while True:
            try:
                step = steps.send(answer)  # type: ignore[arg-type]
            except StopIteration as end:
                return [_placed(one) for one in end.value]
            left = max(deadline - time.monotonic(), LAST_TRY)
            match step:
                case Ask(requests, patience):
                    answer = await broker.run_many(requests, min(left, patience or left))
                case Send([only], movable):
                    answer = [await self._aone(only, left, movable=movable)]
                case Send(placed, movable):
                    answer = await self._arun(broker, self._bulk(placed, movable=movable), left, meanwhile)
                    meanwhile = None

    # --- to the broker --------------------------------------------------------------------------------------

    def _one(self, task: NewTask, timeout: float, *, movable: bool = False) -> EnqueueOutcome:
        """Enqueue a task together with those of other threads."""
        task = self._closed(task)
        terms = task.terms
        node = self.broker.driver.owner(queue_keys(terms.queue).slot)
        way = (node, bool(terms.durable), movable)
        if node is None:
            return self._together(way, [task], timeout, False)[0]
        try:
            return self._commit.submit(way, task, len(task.encoded), timeout)
        except BrokerUnavailable as error:
            return EnqueueOutcome(of_task(error, task.id))

    async def _aone(self, task: NewTask, timeout: float, *, movable: bool = False) -> EnqueueOutcome:
        task, side = self._closed(task), self._loops.here()
        terms = task.terms
        node = side.broker.driver.owner(queue_keys(terms.queue).slot)
        way = (node, bool(terms.durable), movable)
        if node is None:
            return (await self._atogether(side.broker, way, [task], timeout, False))[0]
        try:
            return await side.commit.submit(way, task, len(task.encoded), timeout)
        except BrokerUnavailable as error:
            return EnqueueOutcome(of_task(error, task.id))

    def _together(self, way: Way, tasks: list[NewTask], timeout: float, resent: bool) -> list[EnqueueOutcome]:
        return self._run(self._gathered(way, tasks, resent), timeout)

    async def _atogether(
        self, broker: AsyncBroker, way: Way, tasks: list[NewTask], timeout: float, resent: bool
    ) -> list[EnqueueOutcome]:
        return await self._arun(broker, self._gathered(way, tasks, resent), timeout)

    def _gathered(self, way: Way, tasks: list[NewTask], resent: bool) -> Bulk:
        # What may have run already cannot be said to have certainly not been sent.
        return bulk_of(tasks, self._listed.names, resent=resent, movable=way[2] and not resent)

    def _run(self, bulk: Bulk, timeout: float, meanwhile: Meanwhile | None = None) -> list[EnqueueOutcome]:
        outcomes = self._home(bulk, self.broker.run_many(bulk.requests, timeout, meanwhile))
        if (queues := self._listed.again(bulk.tasks)) and not self.broker.driver.topology.is_avoided(
            INDEX_SLOT
        ):
            self.broker.run_many([publish_queues(queues)], min(timeout, PATIENCE))
        return outcomes

    async def _arun(
        self, broker: AsyncBroker, bulk: Bulk, timeout: float, meanwhile: Meanwhile | None = None
    ) -> list[EnqueueOutcome]:
        outcomes = self._home(bulk, await broker.run_many(bulk.requests, timeout, meanwhile))
        if queues := self._listed.again(bulk.tasks):
            topology = await broker.driver.open()
            if not topology.is_avoided(INDEX_SLOT):
                await broker.run_many([publish_queues(queues)], min(timeout, PATIENCE))
        return outcomes

    # --------------------------------------------------------------------------------------------------------

    def _loop_side(self) -> LoopSide[AsyncGroupCommit[Way, NewTask, EnqueueOutcome]]:
        broker = AsyncBroker(AsyncDriver(self.url))
        return LoopSide(broker, AsyncGroupCommit(partial(self._atogether, broker), is_undecided))

    def _closed(self, task: NewTask) -> NewTask:
        return task.with_message(self.seal.close(task.message)) if self._closes else task

    def _bulk(self, tasks: Sequence[NewTask], *, movable: bool = False) -> Bulk:
        closed = [self._closed(task) for task in tasks] if self._closes else tasks
        return bulk_of(closed, self._listed.names, movable=movable)

    def _load(self, tasks: list[NewTask]) -> tuple[list[NewTask], Bulk | None]:
        """The next tasks of a bulk, and what takes them to the broker; None: the router has to look at them."""
        if self._router is not None and self._router.concerns(tasks):
            return tasks, None
        return tasks, self._bulk(tasks)

    def _home(self, bulk: Bulk, values: list[object]) -> list[EnqueueOutcome]:
        """Learn from what came back: what became of the tasks, and of the queues and nodes."""
        if is_all_created(bulk, values):
            return [ENQUEUED] * len(bulk.tasks)
        if has_published(bulk, values):
            self._listed.add({task.terms.queue for task in bulk.tasks})
        if count := undurable(bulk, values):
            self._warn_undurable(bulk.tasks[0].terms.queue, count)
        return outcomes_of(bulk, values)

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


def _checked(outcome: EnqueueOutcome) -> EnqueueOutcome:
    if outcome.error is not None:
        raise outcome.error
    return outcome

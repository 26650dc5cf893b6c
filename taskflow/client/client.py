"""Enqueue: from messages to the broker, synchronous and asyncio, with an honest outcome for each."""

from __future__ import annotations

# Python imports it when a host name is first looked up. A process that is forked while another thread does so waits for ever for
# that thread, which it does not have.
import encodings.idna  # noqa: F401
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..broker.aio import AsyncBroker
from ..broker.command import Command
from ..broker.commands.enqueue import ONE_CREATED, EnqueueReply, NewTask, enqueue
from ..broker.keys import queue_keys
from ..broker.sync import Broker
from ..connection.aio import AsyncDriver
from ..connection.coroutines import Ended, after, in_thread
from ..connection.sync import SyncDriver
from ..errors import BrokerUnavailable
from ..message import taskflow_pb2  # noqa: F401 - likewise, or protobuf came with the first message
from ..message.message_crypto import NO_KEYS, MessageCrypto
from .async_group_commit import AsyncGroupCommit
from .bulk import ENQUEUED, EnqueueOutcome, is_undecided, lone, of_task
from .enqueueing import Enqueueing, Join, Know, OnOutcomes, Run, Step, Way
from .group_commit import GroupCommit
from .loops import LoopSide, LoopSides

if TYPE_CHECKING:
    from ..message.ready import ReadyTask
    from .handing_over import Delivery, HandingOver

T = TypeVar("T")

Side = LoopSide[AsyncGroupCommit[Way, NewTask, EnqueueOutcome]]


class Client:
    """What an app enqueues with.

    Connects at the first use; threads, event loops and forks each get their own connections.

    Args:
        url: the broker.
        crypto: signs and encrypts what is enqueued, and decrypts results; None: neither.
        partitions: over how many partitions queues are spread, by name.
        app: the name of the app, by which a handle that was pickled finds it again.
    """

    def __init__(
        self,
        url: str,
        crypto: MessageCrypto | None = None,
        partitions: Mapping[str, int] | None = None,
        *,
        app: str = "",
    ) -> None:
        self.url = url
        self.app = app
        self.crypto = crypto or NO_KEYS
        self._broker: Broker | None = None
        self._made: dict[str, Broker] = {}
        self._commit: GroupCommit[Way, NewTask, EnqueueOutcome] = GroupCommit(self._together, is_undecided)
        self._loops: LoopSides[AsyncGroupCommit[Way, NewTask, EnqueueOutcome]] = LoopSides(self._loop_side)
        self._enqueueing = Enqueueing(crypto, partitions)
        self._router, self._listed = self._enqueueing.router, self._enqueueing.listed
        self._handed: HandingOver | None = None

    @property
    def undurable(self) -> int:
        """How many durable tasks were taken by a node that had no replica."""
        return self._enqueueing.undurable

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
        if self._router is None or not self._router.concerns((task,)):
            outcome = self._join(task, timeout)
        else:
            (outcome,) = self._carry_out(self._enqueueing.one(self._router, task, timeout))
        if outcome.error is not None:
            raise outcome.error
        return outcome

    async def aenqueue(self, task: NewTask, timeout: float) -> EnqueueOutcome:
        """As `enqueue`, from a coroutine, with those that other coroutines of the event loop enqueue."""
        side = self._loops.here()
        if self._router is None or not self._router.concerns((task,)):
            outcome = await self._ajoin(side, task, timeout)
        else:
            steps = self._enqueueing.one(self._router, task, timeout)
            (outcome,) = await self._acarry_out(side.broker, steps)
        if outcome.error is not None:
            raise outcome.error
        return outcome

    def enqueue_many(self, tasks: Iterable[NewTask], timeout: float, on_outcomes: OnOutcomes) -> None:
        """Enqueue tasks as they come, one script call per queue and chunk: the next are made while the last are under way.

        Args:
            tasks: the tasks. What it raises is raised here; those before have been enqueued.
            timeout: seconds for each bulk of up to `LARGEST_BULK` tasks.
            on_outcomes: is told what became of the tasks of each bulk.
        """
        self._carry_out(self._enqueueing.many(tasks, timeout, on_outcomes))

    async def aenqueue_many(self, tasks: Iterable[NewTask], timeout: float, on_outcomes: OnOutcomes) -> None:
        """As `enqueue_many`, from a coroutine."""
        await self._acarry_out(self.async_broker, self._enqueueing.many(tasks, timeout, on_outcomes))

    def deliver(self, tasks: Sequence[ReadyTask], read_at: float, timeout: float) -> list[Delivery]:
        """Bring tasks from an outbox to their queues, each once; see `HandingOver.deliver`."""
        return self._carry_out(self._handing_over.deliver(tasks, read_at, timeout))

    async def adeliver(self, tasks: Sequence[ReadyTask], read_at: float, timeout: float) -> list[Delivery]:
        """As `deliver`, from a coroutine."""
        return await self._acarry_out(self.async_broker, self._handing_over.deliver(tasks, read_at, timeout))

    def let_end(self, tasks: Sequence[ReadyTask], timeout: float) -> None:
        """These tasks are in no outbox any more: what tells that they were delivered need not live for days."""
        self._carry_out(self._handing_over.let_end(tasks, timeout))

    async def alet_end(self, tasks: Sequence[ReadyTask], timeout: float) -> None:
        """As `let_end`, from a coroutine."""
        await self._acarry_out(self.async_broker, self._handing_over.let_end(tasks, timeout))

    def settled(self, task: NewTask) -> NewTask:
        """The task in the partition to which it goes, as far as that is known without asking."""
        return task if self._router is None else self._router.settle(task)

    @property
    def _handing_over(self) -> HandingOver:
        if self._handed is None:
            # Only here: few programs deliver.
            from .handing_over import HandingOver

            self._handed = HandingOver()
        return self._handed

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

    def drop(self) -> None:
        """As `close`, also of event loops that are not closed, from wherever it is called."""
        if self._broker is not None:
            self._broker.close()
        self._loops.drop()

    def _placed(self, driver: SyncDriver | AsyncDriver, task: NewTask, movable: bool) -> tuple[NewTask, Way]:
        """The task as it is stored, and who may go there with it. No node: nobody is known to own its slot, and it goes alone."""
        terms = task.terms
        if self._enqueueing.closes or terms.compresses:
            task = self._enqueueing.closed(task)
        return task, (driver.owner(queue_keys(terms.queue).slot), bool(terms.durable), movable)

    def _usual(self, way: Way, tasks: list[NewTask], resent: bool) -> Command[list[EnqueueReply]] | None:
        """All that the usual `.delay()` comes to: one call of the script; None: it is more than that."""
        queue, listed = tasks[0].terms.queue, self._listed
        if len(tasks) > 1 or queue not in listed.names or listed.stale or time.monotonic() >= listed.again_at:
            return None
        return enqueue(queue, tasks, resent=resent, movable=way[2] and not resent)

    # --- for threads ----------------------------------------------------------------------------------------

    def _join(self, task: NewTask, timeout: float, movable: bool = False) -> EnqueueOutcome:
        """Enqueue a task together with those of other threads."""
        task, way = self._placed((self._broker or self.broker).driver, task, movable)
        if self._enqueueing.closes:
            timeout = self._enqueueing.within(timeout)
        if way[0] is None:
            return self._together(way, [task], timeout, False)[0]
        try:
            return self._commit.submit(way, task, len(task.payload), timeout)
        except BrokerUnavailable as error:
            return EnqueueOutcome(of_task(error, task.id))

    def _together(self, way: Way, tasks: list[NewTask], timeout: float, resent: bool) -> list[EnqueueOutcome]:
        """Send the tasks of a group commit. `resent`: earlier copies of them may have run."""
        request = self._usual(way, tasks, resent)
        if request is None:
            return self._carry_out(self._enqueueing.together(way, tasks, timeout, resent))
        values = (self._broker or self.broker).driver.execute((request,), timeout)
        return [ENQUEUED] if values[0] == ONE_CREATED else self._enqueueing.home(lone(tasks, request), values)

    def _carry_out(self, steps: Generator[Step, Any, T]) -> T:
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            match step:
                case Run(requests, timeout, meanwhile):
                    answer = self.broker.run_many(requests, timeout, meanwhile)
                case Join(task, timeout, movable):
                    answer = self._join(task, timeout, movable)
                case Know():
                    answer = self.broker.driver.topology

    # --- for coroutines -------------------------------------------------------------------------------------

    async def _ajoin(
        self, side: Side, task: NewTask, timeout: float, movable: bool = False
    ) -> EnqueueOutcome:
        """As `_join`."""
        if self._enqueueing.puts_away(task):
            task, way = await in_thread(self._placed, side.broker.driver, task, movable)
        else:
            task, way = self._placed(side.broker.driver, task, movable)
        if self._enqueueing.closes:
            timeout = self._enqueueing.within(timeout)
        if way[0] is None:
            return (await self._atogether(side.broker, way, [task], timeout, False))[0]
        try:
            return await side.commit.submit(way, task, len(task.payload), timeout)
        except BrokerUnavailable as error:
            return EnqueueOutcome(of_task(error, task.id))

    async def _atogether(
        self, broker: AsyncBroker, way: Way, tasks: list[NewTask], timeout: float, resent: bool
    ) -> list[EnqueueOutcome]:
        """As `_together`."""
        request = self._usual(way, tasks, resent)
        if request is None:
            return await self._acarry_out(broker, self._enqueueing.together(way, tasks, timeout, resent))
        values = await broker.driver.execute((request,), timeout)
        return [ENQUEUED] if values[0] == ONE_CREATED else self._enqueueing.home(lone(tasks, request), values)

    async def _acarry_out(self, broker: AsyncBroker, steps: Generator[Step, Any, T]) -> T:
        answer: Any = None
        offloads = self.crypto.offload is not None
        while True:
            try:
                # Between two steps large payloads are put into the app's store.
                step = await in_thread(after, steps, answer) if offloads else steps.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            if isinstance(step, Ended):
                return step.value  # type: ignore[no-any-return]
            match step:
                case Run(requests, timeout, meanwhile):
                    answer = await broker.run_many(requests, timeout, meanwhile)
                case Join(task, timeout, movable):
                    answer = await self._ajoin(self._loops.here(), task, timeout, movable)
                case Know():
                    answer = await broker.driver.open()

    def _loop_side(self) -> Side:
        broker = AsyncBroker(AsyncDriver(self.url))
        return LoopSide(broker, AsyncGroupCommit(partial(self._atogether, broker), is_undecided))

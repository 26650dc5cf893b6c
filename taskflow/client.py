"""Enqueue: from messages to the broker, synchronous and asyncio, with an honest outcome for each."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .broker.aio import AsyncBroker
from .broker.command import Command
from .broker.commands.enqueue import BATCH, Enqueued, EnqueueReply, NewTask, enqueue, publish_queues
from .broker.sync import Broker
from .connection.aio import AsyncDriver
from .connection.exchange import Confirmed, NotSent, Request
from .connection.sync import SyncDriver
from .errors import BrokerError, BrokerUnavailable, DuplicateTask, NotDurable, TaskFlowError, TaskIdConflict
from .message.seal import NO_KEYS, Seal
from .partitions import split
from .routing import Ask, Placed, Router, Send

WINDOW = 10 * BATCH

WARN_SECONDS = 60.0

LAST_TRY = 0.001
"""Seconds for a step that comes after the deadline: it says why nothing could be done."""

logger = logging.getLogger("taskflow.client")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a task: an error, or none; and whether a replica has it (None: that was not asked).

    `task` is the task as it was enqueued, where the client chose its partition, and with it its id.
    """

    error: TaskFlowError | None
    durable: bool | None = None
    task: NewTask | None = None


_UNASKED = Receipt(None)

Chunk = tuple[list[int], Command[list[EnqueueReply]]]


class Client:
    """What an app enqueues with.

    Connects at the first use; threads, event loops and forks each get their own connections.

    Args:
        url: the broker.
        seal: signs and encrypts what is enqueued, and decrypts results; None: neither.
        partitions: over how many partitions queues are spread, by name.
    """

    def __init__(
        self, url: str, seal: Seal | None = None, partitions: Mapping[str, int] | None = None
    ) -> None:
        self.url = url
        self.seal = seal or NO_KEYS
        self._closes = seal is not None
        self._broker: Broker | None = None
        self._lock = threading.Lock()
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncBroker] = (
            weakref.WeakKeyDictionary()
        )
        self._router = Router(partitions) if partitions else None
        self._published: set[str] = set()
        self._warned_at = -WARN_SECONDS
        self.undurable = 0
        """How many durable tasks were taken by a node that had no replica."""

    @property
    def broker(self) -> Broker:
        """The broker for threads."""
        if self._broker is None:
            with self._lock:
                if self._broker is None:
                    self._broker = Broker(SyncDriver(self.url))
        return self._broker

    @property
    def async_broker(self) -> AsyncBroker:
        """The broker for the running event loop."""
        loop = asyncio.get_running_loop()
        broker = self._loops.get(loop)
        if broker is None:
            broker = self._loops[loop] = AsyncBroker(AsyncDriver(self.url))
        return broker

    def enqueue(self, task: NewTask, timeout: float) -> Receipt:
        """Enqueue one task.

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
        return _checked(self.enqueue_many([task], timeout)[0])

    async def aenqueue(self, task: NewTask, timeout: float) -> Receipt:
        """As `enqueue`, from a coroutine."""
        return _checked((await self.aenqueue_many([task], timeout))[0])

    def enqueue_many(self, tasks: Sequence[NewTask], timeout: float) -> list[Receipt]:
        """Enqueue tasks, one script call per queue and chunk: a receipt for each.

        `timeout` is for each window of a few thousand tasks.
        """
        if self._router is None or not self._router.concerns(tasks):
            return self._send(tasks, timeout)
        deadline = time.monotonic() + timeout
        steps = self._router.route(tasks, self.broker.driver.topology.is_avoided)
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
                case Send(placed, movable):
                    answer = self._send(placed, left, movable=movable)

    async def aenqueue_many(self, tasks: Sequence[NewTask], timeout: float) -> list[Receipt]:
        """As `enqueue_many`, from a coroutine."""
        if self._router is None or not self._router.concerns(tasks):
            return await self._asend(tasks, timeout)
        deadline = time.monotonic() + timeout
        broker = self.async_broker
        steps = self._router.route(tasks, (await broker.driver.open()).is_avoided)
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
                case Send(placed, movable):
                    answer = await self._asend(placed, left, movable=movable)

    def close(self) -> None:
        """Close the idle connections of threads. The client can be used again."""
        if self._broker is not None:
            self._broker.close()

    async def aclose(self) -> None:
        """Close the idle connections of the running event loop."""
        broker = self._loops.pop(asyncio.get_running_loop(), None)
        if broker is not None:
            await broker.close()

    # --------------------------------------------------------------------------------------------------------

    def _send(self, tasks: Sequence[NewTask], timeout: float, *, movable: bool = False) -> list[Receipt]:
        outcomes: list[Receipt] = []
        for window in _windows(self._closed(tasks) if self._closes else tasks):
            chunks, requests = self._plan(window, movable=movable)
            outcomes += self._outcomes(window, chunks, self.broker.run_many(requests, timeout))
        return outcomes

    async def _asend(
        self, tasks: Sequence[NewTask], timeout: float, *, movable: bool = False
    ) -> list[Receipt]:
        outcomes: list[Receipt] = []
        for window in _windows(self._closed(tasks) if self._closes else tasks):
            chunks, requests = self._plan(window, movable=movable)
            outcomes += self._outcomes(window, chunks, await self.async_broker.run_many(requests, timeout))
        return outcomes

    def _closed(self, tasks: Sequence[NewTask]) -> Sequence[NewTask]:
        return [task.with_message(self.seal.close(task.message)) for task in tasks]

    def _plan(self, tasks: Sequence[NewTask], *, movable: bool) -> tuple[list[Chunk], list[Request]]:
        chunks = list(_chunks(tasks))
        requests: list[Request] = [
            replace(command, movable=True) if movable else command for _, command in chunks
        ]
        # Once per process and queue; workers repeat it with each heartbeat, so a removed queue shows up
        # again.
        unpublished = {task.terms.queue for task in tasks} - self._published
        if unpublished:
            requests.append(publish_queues(sorted(unpublished)))
        return chunks, requests

    def _outcomes(self, tasks: Sequence[NewTask], chunks: list[Chunk], values: list[object]) -> list[Receipt]:
        receipts: list[Receipt] = [_UNASKED] * len(tasks)
        for (indexes, _), value in zip(chunks, values, strict=False):
            for position, index in enumerate(indexes):
                receipts[index] = _receipt(tasks[index], value, position)
            if isinstance(value, Confirmed) and not value.replicas:
                self._warn_undurable(tasks[indexes[0]].terms.queue, len(indexes))
        if len(values) > len(chunks) and not isinstance(values[-1], BrokerError):
            self._published |= {task.terms.queue for task in tasks}
        return receipts

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


def _windows(tasks: Sequence[NewTask]) -> Iterable[Sequence[NewTask]]:
    """So many tasks as are under way at once: more would fill the buffers and wait for each other."""
    for start in range(0, len(tasks), WINDOW):
        yield tasks[start : start + WINDOW]


def _chunks(tasks: Sequence[NewTask]) -> Iterable[Chunk]:
    queues: dict[str, list[int]] = {}
    for index, task in enumerate(tasks):
        queues.setdefault(task.terms.queue, []).append(index)
    for queue, indexes in queues.items():
        for start in range(0, len(indexes), BATCH):
            part = indexes[start : start + BATCH]
            yield part, enqueue(queue, [tasks[index] for index in part])


def _receipt(task: NewTask, value: Any, position: int) -> Receipt:
    if isinstance(value, BrokerError):
        return Receipt(_named(value, task.id))
    durable = None
    if isinstance(value, Confirmed):
        durable, value = value.replicas > 0, value.value
    reply: EnqueueReply = value[position]
    if reply.outcome is Enqueued.ID_TAKEN:
        return Receipt(TaskIdConflict(task.id, split(task.terms.queue)[0]))
    if reply.outcome is Enqueued.DUPLICATE:
        return Receipt(DuplicateTask(task.terms.message.type, split(task.terms.queue)[0], reply.holder))
    if not task.terms.durable:
        return _UNASKED
    if task.terms.durable == "strict" and not durable:
        return Receipt(NotDurable(task.id), durable)
    return Receipt(None, durable)


def _placed(placed: Placed[Receipt]) -> Receipt:
    if isinstance(placed.outcome, Receipt):
        return replace(placed.outcome, task=placed.task)
    return Receipt(placed.outcome)


def _checked(receipt: Receipt) -> Receipt:
    if receipt.error is not None:
        raise receipt.error
    return receipt


def _named(error: BrokerError, task_id: str) -> BrokerError:
    """The broker's error, with the id of the task that it concerns."""
    if isinstance(error, BrokerUnavailable) and not isinstance(error, NotSent):
        return BrokerUnavailable(f"task {task_id} may not have been enqueued: {error}", task_id=task_id)
    return error

"""Brings tasks from an outbox to their queues, each once (no I/O): generators, as in `enqueueing`, which the client carries out.

Whoever delivers may be interrupted at any moment, and another may have delivered the same. The server tells: a marker is written
in the step that writes the task. A marker does not live for ever, so nobody may deliver what was read from its outbox long ago;
that is judged by the clock of the server that has the queue.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from ..broker.commands.enqueue import MOST_BYTES, publish_queues
from ..broker.commands.hand_over import BATCH, HandedOver, Reply, hand_over, let_end, server_time
from ..broker.commands.outbox import NOT_AFTER_SECONDS
from ..broker.words import Delivered, Enqueued
from ..connection.steps import Confirmed
from ..errors import (
    BrokerError,
    BrokerUnavailable,
    DeliveredTooLate,
    DuplicateTask,
    TaskFlowError,
    TaskIdConflict,
)
from ..message.ready import ReadyTask
from ..partitions import split_queue
from .enqueueing import Run

FRESH_SECONDS = 30.0
"""What was read from its outbox so short a time ago is delivered; all else has to be read again."""

LISTED_SECONDS = 60.0
"""After so long a queue that is still delivered to is entered in the index of all queues again: somebody may have removed it."""

Steps = Generator[Run, Any, "list[Delivery]"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a task that was brought to its queue.

    Attributes:
        is_settled: whether nothing is left to do: it can go from its outbox.
        is_new: whether this delivery put it into its queue; an earlier one may have.
        error: why it is not in its queue. Settled, it never will be: `DuplicateTask`, `TaskIdConflict`. Else it can be delivered
            later: `BrokerUnavailable`, `DeliveredTooLate`, ...
    """

    is_settled: bool
    is_new: bool = False
    error: TaskFlowError | None = None


NEW, KNOWN = Delivery(True, True), Delivery(True)


class HandingOver:
    """What a client knows of the servers that it delivers to. Used by all of its threads and event loops.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._server: dict[str, float] = {}
        """For each queue, how far its server's clock is ahead of ours."""
        self._listed: dict[str, float] = {}
        """Until when a queue counts as entered in the index of all queues."""

    def deliver(self, tasks: Sequence[ReadyTask], read_at: float, timeout: float) -> Steps:
        """Deliver tasks: those of a queue in their order.

        Args:
            tasks: as they lie in the outbox now.
            read_at: when they certainly were there, by `clock`.
            timeout: seconds.
        """
        deliveries: list[Delivery | None] = [None] * len(tasks)
        deadline = self._clock() + timeout
        queues = dict.fromkeys(task.queue for task in tasks)
        unknown = [queue for queue in queues if queue not in self._server]
        yield from self._learn(unknown, timeout / 2)  # where one does not answer, the others have the rest
        parts = _parts(tasks)
        late = yield from self._trip(tasks, parts, read_at, max(deadline - self._clock(), 0.001), deliveries)
        if late and self._clock() - read_at < FRESH_SECONDS:
            # It is not late: that server's clock is another than it was, and is known now.
            yield from self._trip(tasks, late, read_at, max(deadline - self._clock(), 0.001), deliveries)
        return [one or _TOO_LATE for one in deliveries]

    def let_end(self, tasks: Sequence[ReadyTask], timeout: float) -> Generator[Run, Any, None]:
        """Shorten the markers of tasks that are in no outbox any more."""
        for begin in range(0, len(tasks), 10 * BATCH):
            yield Run([let_end(task) for task in tasks[begin : begin + 10 * BATCH]], timeout)

    def _learn(self, queues: Sequence[str], timeout: float) -> Generator[Run, Any, None]:
        """What time it is where these queues are."""
        if not queues:
            return
        values = yield Run([server_time(queue) for queue in queues], timeout)
        now = self._clock()
        for queue, value in zip(queues, values, strict=True):
            if not isinstance(value, BrokerError):
                self._server[queue] = value - now

    def _trip(
        self,
        tasks: Sequence[ReadyTask],
        parts: Sequence[Sequence[int]],
        read_at: float,
        timeout: float,
        deliveries: list[Delivery | None],
    ) -> Generator[Run, Any, list[Sequence[int]]]:
        """Deliver these parts; gives those that came too late."""
        sent: list[Sequence[int]] = []
        requests: list[Any] = []
        now = self._clock()
        for part in parts:
            queue = tasks[part[0]].queue
            if queue not in self._server:
                _fail(part, BrokerUnavailable(f"the server of queue {queue!r} does not answer"), deliveries)
            elif now - read_at < FRESH_SECONDS:
                not_after = self._server[queue] + read_at + NOT_AFTER_SECONDS
                requests.append(hand_over(queue, [tasks[index] for index in part], not_after))
                sent.append(part)
        names = {tasks[part[0]].queue for part in sent}
        unlisted = sorted(queue for queue in names if self._listed.get(queue, now) <= now)
        values = (
            (yield Run([*requests, *([publish_queues(unlisted)] if unlisted else [])], timeout))
            if sent
            else []
        )
        late: list[Sequence[int]] = []
        for part, value in zip(sent, values, strict=False):
            queue = tasks[part[0]].queue
            if isinstance(value, BrokerError):
                self._server.pop(queue, None)  # another node may have it now, with another clock
                _fail(part, value, deliveries)
                continue
            done: HandedOver = value.value if isinstance(value, Confirmed) else value
            self._server[queue] = done.server_time - self._clock()
            for index, reply in zip(part, done.replies, strict=True):
                deliveries[index] = _delivery(tasks[index], reply)
            if Delivered.TOO_LATE in done.replies:
                late.append([i for i, r in zip(part, done.replies, strict=True) if r is Delivered.TOO_LATE])
        if unlisted and not isinstance(values[-1], BrokerError):
            self._listed |= dict.fromkeys(unlisted, now + LISTED_SECONDS)
        return late


def _parts(tasks: Sequence[ReadyTask]) -> list[list[int]]:
    """Positions of tasks that go together: of one queue, and as many as a script may be given."""
    parts: list[list[int]] = []
    open_: dict[str, tuple[list[int], int]] = {}
    for index, task in enumerate(tasks):
        part, room = open_.get(task.queue, ([], 0))
        size = len(task.message)
        if not part or len(part) >= BATCH or room < size:
            part, room = [], MOST_BYTES
            parts.append(part)
        part.append(index)
        open_[task.queue] = part, room - size
    return parts


def _fail(part: Sequence[int], error: TaskFlowError, deliveries: list[Delivery | None]) -> None:
    for index in part:
        deliveries[index] = Delivery(False, error=error)


def _delivery(task: ReadyTask, reply: Reply) -> Delivery | None:
    if reply is Enqueued.CREATED:
        return NEW
    if reply is Enqueued.ALREADY_THERE:
        return KNOWN
    if reply is Delivered.TOO_LATE:
        return None
    queue = split_queue(task.queue)[0]
    if reply is Enqueued.ID_TAKEN:
        return Delivery(True, error=TaskIdConflict(task.id, queue))
    return Delivery(True, error=DuplicateTask(task.name, queue, str(reply)))


_TOO_LATE = Delivery(
    False,
    error=DeliveredTooLate(
        "the task was read from its outbox too long ago: somebody else may have delivered it since; read it again"
    ),
)

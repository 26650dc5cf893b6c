"""Bulks: the tasks that go to the broker together, the requests that take them there, and what became of each (no I/O)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeVar

from ..broker.commands.enqueue import (
    BATCH,
    CREATED,
    MOST_BYTES,
    EnqueueReply,
    NewTask,
    enqueue,
    publish_queues,
)
from ..broker.words import Enqueued
from ..connection.steps import Confirmed, NotSent, Request
from ..errors import (
    BrokerError,
    BrokerUnavailable,
    DuplicateTask,
    NotDurable,
    StoreError,
    TaskFlowError,
    TaskIdConflict,
)
from ..partitions import split_queue

W = TypeVar("W")

LARGEST_BULK = 10 * BATCH
"""Tasks that are under way at once, at most: more would fill the buffers and wait for each other."""


@dataclass(frozen=True, slots=True)
class EnqueueOutcome:
    """What became of a task: an error, or none; and whether a replica has it (None: that was not asked).

    `task` is the task as it was enqueued, where the client chose its partition, and with it its id. `kept`: it lies in the app's
    outbox, from where it is delivered.
    """

    error: TaskFlowError | None
    durable: bool | None = None
    task: NewTask | None = None
    kept: bool = False


ENQUEUED = EnqueueOutcome(None)

_ONLY = ((0,),)
"""The positions in the one chunk of one task."""


@lru_cache(maxsize=32)
def _all_created(count: int) -> list[EnqueueReply]:
    return [CREATED] * count


class Bulk(NamedTuple):
    """Tasks that are under way at once.

    Attributes:
        tasks: the tasks.
        chunks: for each script call the positions of its tasks.
        requests: the script calls, and perhaps one that publishes the names of queues.
    """

    tasks: Sequence[NewTask]
    chunks: Sequence[Sequence[int]]
    requests: Sequence[Request]


def lone(tasks: Sequence[NewTask], request: Request) -> Bulk:
    """The bulk of one task, and the call that enqueues it."""
    return Bulk(tasks, _ONLY, (request,))


def bulk_of(
    tasks: Sequence[NewTask], published: Set[str], *, resent: bool = False, movable: bool = False
) -> Bulk:
    """The requests for some tasks: one script call per queue and chunk.

    Args:
        tasks: the tasks.
        published: the queues that this process has entered in the index of all queues.
        resent: whether earlier copies may have run.
        movable: whether they can go elsewhere while nothing of them has reached a node.
    """
    if len(tasks) == 1 and (queue := tasks[0].terms.queue) in published:
        return lone(tasks, enqueue(queue, tasks, resent=resent, movable=movable))
    # Who waits for a replica does not make others wait for it, nor fail with it.
    groups: dict[tuple[str, bool], list[int]] = {}
    for index, task in enumerate(tasks):
        terms = task.terms
        group = (terms.queue, bool(terms.durable))
        if group in groups:
            groups[group].append(index)
        else:
            groups[group] = [index]
    chunks: list[Sequence[int]] = []
    requests: list[Request] = []
    for (queue, _), indexes in groups.items():
        for start in range(0, len(indexes), BATCH):
            part = indexes[start : start + BATCH]
            chunks.append(part)
            requests.append(enqueue(queue, [tasks[index] for index in part], resent=resent, movable=movable))
    # Once per process and queue; workers repeat it with each heartbeat, so a removed queue shows up again.
    unpublished = {queue for queue, _ in groups} - published
    if unpublished:
        requests.append(publish_queues(sorted(unpublished)))
    return Bulk(tasks, chunks, requests)


def is_all_created(bulk: Bulk, values: Sequence[object]) -> bool:
    """Whether there is nothing to tell but that all is well: nearly always, for a `.delay()`."""
    return len(values) == 1 and values[0] == _all_created(len(bulk.tasks))


def outcomes_of(bulk: Bulk, values: Sequence[object]) -> list[EnqueueOutcome]:
    """What became of each task of a bulk, from the values of its requests."""
    tasks = bulk.tasks
    outcomes = [ENQUEUED] * len(tasks)
    for indexes, value in zip(bulk.chunks, values, strict=False):
        if value == _all_created(len(indexes)):
            continue
        for position, index in enumerate(indexes):
            outcomes[index] = _outcome(tasks[index], value, position)
    return outcomes


def undurable(bulk: Bulk, values: Sequence[object]) -> int:
    """How many of its durable tasks were taken by a node that had no replica."""
    return sum(
        len(indexes)
        for indexes, value in zip(bulk.chunks, values, strict=False)
        if isinstance(value, Confirmed) and not value.replicas
    )


def has_published(bulk: Bulk, values: Sequence[object]) -> bool:
    """Whether the bulk has entered its queues in the index."""
    return len(values) > len(bulk.chunks) and not isinstance(values[-1], BrokerError)


def is_undecided(outcome: EnqueueOutcome) -> bool:
    """Whether nobody knows if the task was enqueued."""
    return isinstance(outcome.error, BrokerUnavailable) and not isinstance(outcome.error, NotSent)


def of_task(error: BrokerError, task_id: str) -> BrokerError:
    """The broker's error, with the id of the task that it concerns."""
    if isinstance(error, BrokerUnavailable) and not isinstance(error, NotSent):
        return BrokerUnavailable(f"task {task_id} may not have been enqueued: {error}", task_id=task_id)
    return error


def _outcome(task: NewTask, value: Any, position: int) -> EnqueueOutcome:
    if isinstance(value, BrokerError):
        return EnqueueOutcome(of_task(value, task.id))
    durable = None
    if isinstance(value, Confirmed):
        durable, value = value.replicas > 0, value.value
    terms = task.terms
    reply: EnqueueReply = value[position]
    if reply.outcome is Enqueued.ID_TAKEN:
        return EnqueueOutcome(TaskIdConflict(task.id, split_queue(terms.queue)[0]))
    if reply.outcome is Enqueued.DUPLICATE:
        return EnqueueOutcome(DuplicateTask(terms.message.type, split_queue(terms.queue)[0], reply.holder))
    if not terms.durable:
        return ENQUEUED
    if terms.durable == "strict" and not durable:
        return EnqueueOutcome(NotDurable(task.id), durable)
    return EnqueueOutcome(None, durable)


class Loader(Generic[W]):
    """Cuts tasks into bulks and makes each while the one before is under way.

    They grow, so that the first is soon on its way and the later ones make few round trips.

    Args:
        tasks: the tasks.
        make: makes a bulk of some of them.
    """

    def __init__(self, tasks: Iterable[NewTask], make: Callable[[list[NewTask]], W]) -> None:
        self._tasks = iter(tasks)
        self._make = make
        self._size = BATCH
        self._loaded = False
        self._next: W | None = None
        self._error: Exception | None = None

    def load(self) -> None:
        """Make the next bulk. Raises nothing: what is under way has to come home first."""
        tasks: list[NewTask] = []
        room = MOST_BYTES
        try:
            for task in self._tasks:
                tasks.append(task)
                room -= len(task.payload)
                if len(tasks) == self._size or room <= 0:
                    break
        except Exception as error:  # noqa: BLE001 - the user's own, raised again by `take`
            self._error = error
        try:
            self._next = self._make(tasks) if tasks else None
        except StoreError as error:  # those of this bulk are not sent
            self._next, self._error = None, error
        self._loaded = True
        self._size = min(2 * self._size, LARGEST_BULK)

    def take(self) -> W | None:
        """The next bulk; None: there are no more tasks.

        Raises:
            Exception: whatever the tasks raised when they were made, once those before are home.
        """
        if not self._loaded:
            self.load()
        bulk, self._next, self._loaded = self._next, None, False
        if bulk is None and self._error is not None:
            raise self._error
        return bulk

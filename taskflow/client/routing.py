"""Which partition of its queue a new task goes to, and where it goes when that one's node is away (no I/O).

A task with a lock, with a group or with an id of its own belongs to one partition, so that its like is found there. Any other
may go to any partition. It gets an id whose home that partition is: so whoever repeats it by its id, after an error, finds
what the first call may have enqueued.

`Router.route` is a generator: it yields what is to be done (`Ask`, `Send`) and is sent what came of it. The client carries
the steps out, for threads and for coroutines.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from ..broker.commands.enqueue import BATCH, NewTask, publish_queues
from ..broker.commands.partitions import note_count
from ..broker.keys import queue_keys
from ..connection.steps import NotSent, Request
from ..errors import BrokerError, BrokerUnavailable, DuplicateTask, TaskFlowError, TaskIdConflict
from ..message.ids import new_id
from ..partitions import completed, home, other_homes, partition_name, partition_names
from .keyed import HOLDS, KNOWN_TO_ALL, Numbers, has_key, key_of, look_for, seconds_held
from .listed import AGAIN, INDEX_SLOT

FRESH = 10.0
"""Seconds after which a client asks again over how many partitions others spread the keys of a queue."""

PATIENCE = 1.0
"""Seconds for a question whose answer is of use, but not needed."""

_TOGETHER = 500

Avoided = Callable[[int], bool]
"""Whether the owner of a key slot is better left alone just now; as `Topology.is_avoided`."""


class SendOutcome(Protocol):
    """What became of a task that was sent."""

    @property
    def error(self) -> TaskFlowError | None:
        """Why it was not enqueued."""


O = TypeVar("O", bound=SendOutcome)  # noqa: E741


@dataclass(frozen=True, slots=True)
class Ask:
    """Run these requests; answer with their values, or the errors in their places."""

    requests: list[Request]
    timeout: float | None = None
    """Seconds that this may take; None: as long as there are."""


@dataclass(frozen=True, slots=True)
class Send:
    """Enqueue these tasks, each in the queue that it names; answer with an outcome for each.

    `movable`: one whose node cannot be reached comes back with `NotSent` at once, and goes elsewhere.
    """

    tasks: list[NewTask]
    movable: bool


@dataclass(frozen=True, slots=True)
class Placed(Generic[O]):
    """A task as it was sent in the end, and what became of it; or why it was not sent."""

    task: NewTask
    outcome: O | TaskFlowError


class Router:
    """Places the tasks of an app that declares partitions. Used by all of its threads and event loops.

    Args:
        counts: the number of partitions by queue.
        clock: monotonic seconds.
    """

    def __init__(self, counts: Mapping[str, int], clock: Callable[[], float] = time.monotonic) -> None:
        self._counts = counts
        self._clock = clock
        self._turns = {queue: itertools.count(int.from_bytes(new_id().encode()[:2])) for queue in counts}
        self._listed: dict[str, float] = {}
        """Until when a queue counts as entered in the index of all queues, by `clock`."""
        self._numbers: dict[str, Numbers] = {}
        self._not_before: dict[str, float] = {}
        """When a queue may be asked again at the earliest, by `clock`."""

    def concerns(self, tasks: Iterable[NewTask]) -> bool:
        """Whether it has to choose or to ask for any of these tasks: a queue of one partition has room for no choice."""
        counts = self._counts
        for task in tasks:
            count = counts.get(task.terms.queue, 0)
            if count and (count > 1 or has_key(task)):
                return True
        return False

    def place(self, task: NewTask, is_avoided: Avoided) -> NewTask | None:
        """The usual call: a task in the partition whose turn it is; None: there is more to ask or to do, as `route` does."""
        queue = task.terms.queue
        count = self._counts.get(queue, 0)
        if count < 2 or has_key(task) or self._listed.get(queue, 0.0) <= self._clock():
            return None
        partition = self._next(queue, (), is_avoided)
        return task.moved_to(partition_name(queue, partition), _id_at(task.id, partition, count))

    def route(
        self, tasks: Sequence[NewTask], is_avoided: Avoided
    ) -> Generator[Ask | Send, list[Any], list[Placed[Any]]]:
        """Yield steps until there is an outcome for every task; return them in the order of the tasks."""
        placed: dict[int, Placed[Any]] = {}
        free: list[int] = []
        fixed: dict[int, NewTask] = {}
        for index, task in enumerate(tasks):
            if task.terms.queue in self._counts and not has_key(task):
                free.append(index)
            else:
                fixed[index] = task
        yield from self._list({task.terms.queue for task in tasks} & self._counts.keys(), is_avoided)
        yield from self._place_keys(fixed, placed)
        if fixed:
            outcomes = yield Send(list(fixed.values()), movable=False)
            for (index, task), outcome in zip(fixed.items(), outcomes, strict=True):
                placed[index] = Placed(task, outcome)
        if free:
            yield from self._send_free({index: tasks[index] for index in free}, placed, is_avoided)
        return [placed[index] for index in range(len(tasks))]

    def settle(self, task: NewTask) -> NewTask:
        """The task in the partition to which it goes, by what is known here: nobody is asked, and no node avoided."""
        queue = task.terms.queue
        count = self._counts.get(queue, 0)
        if not count:
            return task
        if has_key(task):
            known = self._numbers.get(queue)
            number = known.placing(count, self._clock()) if known is not None else count
            return task.moved_to(partition_name(queue, home(key_of(task), number)), task.id)
        if count == 1:
            return task
        partition = self._next(queue, (), lambda slot: False)
        return task.moved_to(partition_name(queue, partition), _id_at(task.id, partition, count))

    # --- the index ------------------------------------------------------------------------------------------

    def _list(self, queues: set[str], is_avoided: Avoided) -> Generator[Ask, list[Any], None]:
        """Enter the partitions in the index of all queues before they are used, so that every worker finds them; and again
        after a while, should somebody have removed them or emptied the server.
        """
        now = self._clock()
        new = [queue for queue in sorted(queues) if self._listed.get(queue, now) <= now]
        known = self._listed.keys() >= set(new)
        if not new or (known and is_avoided(INDEX_SLOT)):
            return
        names = [name for queue in new for name in partition_names(queue, self._counts[queue])]
        (value,) = yield Ask([publish_queues(names)], PATIENCE)
        for queue in new:
            # If the index's node is away, the workers that know of the partitions enter them.
            self._listed[queue] = now + (FRESH if isinstance(value, BrokerError) else AGAIN)

    # --- tasks that belong to one partition -----------------------------------------------------------------

    def _place_keys(
        self, fixed: dict[int, NewTask], placed: dict[int, Placed[Any]]
    ) -> Generator[Ask, list[Any], None]:
        """Give each its partition; those that are not to be sent leave `fixed` for `placed`."""
        queues: dict[str, list[int]] = {}
        for index, task in fixed.items():
            if task.terms.queue in self._counts:
                queues.setdefault(task.terms.queue, []).append(index)
        for queue, indexes in queues.items():
            numbers = yield from self._learn(queue, max(seconds_held(fixed[index]) for index in indexes))
            if isinstance(numbers, BrokerError):
                for index in indexes:
                    task = fixed.pop(index)
                    placed[index] = Placed(task, _unasked(numbers, task))
                continue
            count = numbers.placing(self._counts[queue], self._clock())
            for start in range(0, len(indexes), _TOGETHER):
                part = indexes[start : start + _TOGETHER]
                yield from self._look_elsewhere(queue, count, numbers.since, part, fixed, placed)

    def _learn(self, queue: str, seconds: float) -> Generator[Ask, list[Any], Numbers | BrokerError]:
        """Over how many partitions keys are spread, by us and by others; and tell them our number."""
        now = self._clock()
        known = self._numbers.get(queue)
        suffices = known is not None and now - known.asked_at < KNOWN_TO_ALL and known.until >= now + seconds
        if (
            known is not None
            and suffices
            and now < max(known.asked_at + FRESH, self._not_before.get(queue, 0.0))
        ):
            return known
        holds = int(max(seconds * 1.1, HOLDS))
        request = note_count(queue, self._counts[queue], holds)
        (value,) = yield Ask([request], PATIENCE if suffices else None)
        if not isinstance(value, BrokerError):
            since = {number: now - age for number, age in value.items()}
            self._numbers[queue] = known = Numbers(now, now + holds, since)
        elif known is None or not suffices:
            return value
        else:
            self._not_before[queue] = now + PATIENCE
        return known

    def _look_elsewhere(
        self,
        queue: str,
        count: int,
        numbers: Iterable[int],
        indexes: list[int],
        fixed: dict[int, NewTask],
        placed: dict[int, Placed[Any]],
    ) -> Generator[Ask, list[Any], None]:
        """Refuse what stands in another partition, where another number of them puts it."""
        looks: list[tuple[int, str]] = []
        requests: list[Request] = []
        for index in indexes:
            task = fixed[index]
            key = key_of(task)
            fixed[index] = task.moved_to(partition_name(queue, home(key, count)), task.id)
            for other in other_homes(key, count, numbers) if task.lock or task.named else ():
                name = partition_name(queue, other)
                looks.append((index, name))
                requests.append(look_for(task, queue, name))
        if not requests:
            return
        found = yield Ask(requests)
        for (index, name), value in zip(looks, found, strict=True):
            if index not in fixed or not value:
                continue
            task = fixed[index]
            if isinstance(value, BrokerError):
                placed[index] = Placed(fixed.pop(index), _unasked(value, task))
            elif not task.lock:
                placed[index] = Placed(fixed.pop(index), TaskIdConflict(task.id, queue))
            elif value == task.id:
                fixed[index] = task.moved_to(name, task.id)  # it repeats a call that was sent there
            else:
                error = DuplicateTask(task.terms.message.type, queue, value)
                placed[index] = Placed(fixed.pop(index), error)

    # --- tasks that may go anywhere -------------------------------------------------------------------------

    def _send_free(
        self, free: dict[int, NewTask], placed: dict[int, Placed[Any]], is_avoided: Avoided
    ) -> Generator[Send, list[Any], None]:
        unreachable: dict[str, set[int]] = {}
        while free:
            movable = all(
                len(unreachable.get(task.terms.queue, ())) < self._counts[task.terms.queue]
                for task in free.values()
            )
            sent = dict(self._spread(free, unreachable, is_avoided))
            outcomes = yield Send(list(sent.values()), movable=movable)
            for (index, task), outcome in zip(sent.items(), outcomes, strict=True):
                if movable and isinstance(outcome.error, NotSent):
                    queue = free[index].terms.queue
                    unreachable.setdefault(queue, set()).add(home(task.id, self._counts[queue]))
                else:
                    placed[index] = Placed(task, outcome)
                    del free[index]

    def _spread(
        self, free: Mapping[int, NewTask], unreachable: Mapping[str, set[int]], is_avoided: Avoided
    ) -> Iterator[tuple[int, NewTask]]:
        """Each chunk to one partition, which is one script call, the next chunk to the next."""
        chunks: dict[str, tuple[int, int, str]] = {}
        for index, task in free.items():
            queue = task.terms.queue
            count = self._counts[queue]
            if count == 1:
                yield index, task
                continue
            left, partition, name = chunks.get(queue, (0, 0, ""))
            if not left:
                partition = self._next(queue, unreachable.get(queue, ()), is_avoided)
                left, name = BATCH, partition_name(queue, partition)
            chunks[queue] = left - 1, partition, name
            yield index, task.moved_to(name, _id_at(task.id, partition, count))

    def _next(self, queue: str, unreachable: Collection[int], is_avoided: Avoided) -> int:
        """The partition whose turn it is, but for those whose node is away, if another's is not."""
        count = self._counts[queue]
        turn = next(self._turns[queue])
        best: int | None = None
        for step in range(count):
            partition = (turn + step) % count
            if partition not in unreachable:
                if not is_avoided(queue_keys(partition_name(queue, partition)).slot):
                    return partition
                best = partition if best is None else best
        return turn % count if best is None else best


def _id_at(made: str, partition: int, count: int) -> str:
    """An id whose home is this partition: one that was made at random, but for its end."""
    while (found := completed(made[:-2], partition, count)) is None:
        made = new_id()
    return found


def _unasked(error: BrokerError, task: NewTask) -> BrokerError:
    if isinstance(error, BrokerUnavailable):
        return BrokerUnavailable(f"task {task.id} was not enqueued: {error}", task_id=task.id)
    return error

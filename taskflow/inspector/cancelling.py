"""Cancelling tasks: one by its id, or all that match, in many bounded steps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from math import isfinite

from ..broker.commands.cancel import BATCH, cancel
from ..broker.words import Cancelled
from ..errors import IllegalMove, InvalidOption, QueueNotFound
from ..states import CancelOutcome, State
from .both import AnyBroker
from .queues import require
from .tasks import page_of_tasks
from .values import TaskInfo

Terminate = bool | float | timedelta
"""Whether the process of a running task is killed: True, or after how many seconds."""

GRACE_SECONDS = 5.0
"""What a task has with `terminate=True`, to end by itself."""

STATES = (State.SCHEDULED, State.RETRY, State.AGGREGATING, State.PENDING, State.ACTIVE)
"""Of tasks that can be cancelled, in the order in which they go through them: one that moves on meanwhile is met again."""

PAGE = 500
PASSES = 5
"""So often all is looked through again, while the look before has found something: tasks move while they are listed."""

AGGREGATED_LOOKS, AGGREGATED_SECONDS = 10, 0.1

OUTCOMES = {
    Cancelled.ARCHIVED: CancelOutcome.CANCELLED,
    Cancelled.ASKED: CancelOutcome.ASKED,
    Cancelled.NO_SUCH_TASK: CancelOutcome.ENDED,
    Cancelled.HAS_ENDED: CancelOutcome.ENDED,
    Cancelled.IS_BEING_AGGREGATED: CancelOutcome.ENDED,
}


@dataclass(frozen=True, slots=True)
class CancelCounts:
    """What became of an order to cancel many tasks.

    Args:
        cancelled: they waited, and are archived.
        asked: they run, and whoever runs them is told.
        ended: they had ended, or are not there; only of tasks that were named by id.
    """

    cancelled: int = 0
    asked: int = 0
    ended: int = 0

    def __add__(self, other: CancelCounts) -> CancelCounts:
        return CancelCounts(
            self.cancelled + other.cancelled, self.asked + other.asked, self.ended + other.ended
        )


@dataclass(frozen=True, slots=True)
class Which:
    """Which tasks are meant; what is not given does not matter.

    Args:
        name: of the task; `*` and `?` stand for any characters.
        headers: which it has, with these values.
        states: where it is.
    """

    name: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    states: Sequence[State] = STATES

    @classmethod
    def of(
        cls,
        name: str | None,
        headers: Mapping[str, str] | None,
        state: State | str | Iterable[State | str] | None,
    ) -> Which:
        """From what users give; raises InvalidOption."""
        if state is None:
            return cls(name, dict(headers or {}))
        given = [state] if isinstance(state, str) else list(state)
        try:
            states = [State(one) for one in given]
        except ValueError as error:
            raise InvalidOption(f"there is no state of a task for it: {error}") from None
        if others := [one.value for one in states if one not in STATES]:
            raise InvalidOption(
                f"tasks in state {others[0]} have ended; a cancel is for {', '.join(one.value for one in STATES)}"
            )
        return cls(name, dict(headers or {}), [one for one in STATES if one in states])

    def fits(self, task: TaskInfo) -> bool:
        """Whether a task is one of them."""
        if self.name is None and not self.headers:
            return True
        message = task.message
        if message is None or (self.name is not None and not fnmatchcase(message.type, self.name)):
            return False
        return all(message.headers.get(name) == value for name, value in self.headers.items())


def grace_of(terminate: Terminate) -> float | None:
    """Seconds until the process of a running task is killed; None: it is not. Raises InvalidOption."""
    if terminate is False:
        return None
    if terminate is True:
        return GRACE_SECONDS
    seconds = terminate.total_seconds() if isinstance(terminate, timedelta) else terminate
    if not isinstance(seconds, int | float) or not isfinite(seconds) or seconds < 0:
        raise InvalidOption("terminate takes True, or the seconds after which the process is killed, from 0")
    return float(seconds)


async def cancel_one(broker: AnyBroker, queue: str, task_id: str, grace: float | None) -> Cancelled:
    """Cancel a task of a queue, or of a partition; raises IllegalMove where Go is just joining its group."""
    (reply,) = await cancel_ids(broker, queue, [task_id], grace)
    if reply is Cancelled.IS_BEING_AGGREGATED:
        raise IllegalMove(
            f"task {task_id!r} of queue {queue!r} is aggregating: its group is being put together right now, "
            "so it cannot be cancelled; look again in a moment"
        )
    return reply


async def cancel_ids(
    broker: AnyBroker, queue: str, ids: Sequence[str], grace: float | None
) -> list[Cancelled]:
    """Cancel tasks of a queue, or of a partition; what became of each."""
    replies: list[Cancelled] = []
    while len(replies) < len(ids):
        some = ids[len(replies) : len(replies) + BATCH]
        done = await broker.run(cancel(queue, some, grace))
        replies += done
    for _ in range(AGGREGATED_LOOKS):
        again = [at for at, reply in enumerate(replies) if reply is Cancelled.IS_BEING_AGGREGATED]
        if not again:
            break
        await broker.pause(AGGREGATED_SECONDS)
        for at in again:
            (replies[at],) = await broker.run(cancel(queue, [ids[at]], grace))
    return replies


async def cancel_anywhere(
    broker: AnyBroker, parts: Sequence[str], ids: Sequence[str], grace: float | None
) -> CancelCounts:
    """Cancel tasks by their ids, whichever of these queues and partitions has them."""
    ids = list(dict.fromkeys(ids))
    best = dict.fromkeys(ids, CancelOutcome.ENDED)
    for part in parts:
        for task_id, reply in zip(ids, await cancel_ids(broker, part, ids, grace), strict=True):
            if OUTCOMES[reply] is not CancelOutcome.ENDED:
                best[task_id] = OUTCOMES[reply]
    return counted(best.values())


async def cancel_where(
    broker: AnyBroker, parts: Sequence[str], which: Which, grace: float | None, *, dry: bool = False
) -> CancelCounts:
    """Cancel all tasks of queues that match. `dry`: only count them."""
    total = CancelCounts()
    for part in parts:
        asked: set[str] = set()
        for _ in range(1 if dry else PASSES):
            found = {one.id: one.state async for one in matching(broker, part, which) if one.id not in asked}
            if dry:
                running = sum(state is State.ACTIVE for state in found.values())
                total += CancelCounts(len(found) - running, running)
                break
            replies = await cancel_ids(broker, part, list(found), grace)
            asked |= {
                task_id
                for task_id, reply in zip(found, replies, strict=True)
                if reply is not Cancelled.ARCHIVED
            }
            done = counted(OUTCOMES[reply] for reply in replies)
            total += CancelCounts(done.cancelled, done.asked)
            if not done.cancelled and not done.asked:
                break
    return total


async def matching(broker: AnyBroker, part: str, which: Which) -> AsyncIterator[TaskInfo]:
    """The tasks of a queue, or of a partition, that match.

    From the last page of a state to the first: what is taken meanwhile is taken at the beginning, and then none is skipped.
    """
    try:
        await require(broker, part)
    except QueueNotFound:
        return
    for state in which.states:
        first = await page_of_tasks(broker, [part], state, 1, PAGE)
        for number in range(-(-first.total // PAGE), 0, -1):
            page = first if number == 1 and first.total <= PAGE else None
            found = page or await page_of_tasks(broker, [part], state, number, PAGE)
            for task in found.tasks:
                if which.fits(task):
                    yield task


def counted(outcomes: Iterable[CancelOutcome]) -> CancelCounts:
    """How many there are of each."""
    listed = list(outcomes)
    return CancelCounts(
        listed.count(CancelOutcome.CANCELLED),
        listed.count(CancelOutcome.ASKED),
        listed.count(CancelOutcome.ENDED),
    )


async def cancel_all(
    broker: AnyBroker | None,
    parts: Sequence[str],
    ids: Sequence[str],
    which: Which,
    terminate: Terminate,
    *,
    named: bool,
    dry: bool = False,
) -> CancelCounts:
    """Cancel tasks of these queues and partitions, by id or as they match.

    Args:
        broker: where; None: there are no queues.
        parts: the queues.
        ids: of tasks; empty: as they match.
        which: what they have to match.
        terminate: see `Terminate`.
        named: whether the queues were named.
        dry: only count what matches.

    Raises:
        InvalidOption: it is not said which, or it is said twice.
    """
    grace = grace_of(terminate)
    matches = which.name is not None or bool(which.headers) or which.states != STATES
    if ids and matches:
        raise InvalidOption("name tasks by their ids, or say what they have to match; not both")
    if broker is None:
        return CancelCounts(ended=len(set(ids)))
    if ids:
        return await cancel_anywhere(broker, parts, ids, grace)
    if not (matches or named):
        raise InvalidOption("which tasks? Name their ids, their queue, a name, headers or a state")
    return await cancel_where(broker, parts, which, grace, dry=dry)

"""Where a task is that may be in any of several queues, or in any partition of one (no I/O)."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from ..broker.commands.partitions import are_listed
from ..broker.commands.read import Snapshot, read_task
from ..connection.steps import Request, value_or_raise
from ..errors import AmbiguousTaskId, BrokerError
from ..partitions import partition_names, split_queue


def search(
    places: Mapping[str, int], task_id: str
) -> Generator[list[Request], list[Any], tuple[str | None, Snapshot]]:
    """Ask queues for the task, all of them together: of one with partitions all, also those that the app does not declare any
    more.

    Args:
        places: the queues, each with how many partitions the app declares; 0: it is asked itself and alone.
        task_id: its id.

    Returns:
        In which queue or partition it is, None if that is not known, and what was read of it.

    Raises:
        AmbiguousTaskId: several of the queues have a task of this id.
        BrokerError: it was not found, and may be where nobody answered.
    """
    declared: list[str] = []
    others: list[str] = []
    for queue, count in places.items():
        names = partition_names(queue) if count else (queue,)
        declared += names[: count or 1]
        others += names[count or 1 :]
    index = [are_listed(others)] if others else []
    found = yield [*index, *(read_task(name, task_id) for name in declared)]
    seen = dict(zip(declared, found[len(index) :], strict=True))
    if others and not _having(seen):
        flags = [False] * len(others) if isinstance(found[0], BrokerError) else found[0]
        more = [name for name, is_there in zip(others, flags, strict=True) if is_there]
        if more:
            found = yield [read_task(name, task_id) for name in more]
            seen |= dict(zip(more, found, strict=True))
    having = _having(seen)
    queues = sorted({split_queue(name)[0] for name in having})
    if len(queues) > 1:
        raise AmbiguousTaskId(task_id, queues)
    if having:
        return having[0], seen[having[0]]
    # It may be where nobody answered.
    doubtful: Snapshot = value_or_raise(min(seen.values(), key=_answered))
    return None, doubtful


def _having(seen: Mapping[str, Any]) -> list[str]:
    return [name for name, one in seen.items() if isinstance(one, Snapshot) and one.state]


def _answered(value: object) -> bool:
    return not isinstance(value, BrokerError)

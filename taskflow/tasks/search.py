"""Where a task is that may be in any partition of its queue (no I/O)."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ..broker.commands.partitions import are_listed
from ..broker.commands.read import Snapshot, read_task
from ..connection.steps import Request, value_or_raise
from ..errors import BrokerError
from ..partitions import partition_names


def search(
    queue: str, count: int, task_id: str
) -> Generator[list[Request], list[Any], tuple[str | None, Snapshot]]:
    """Ask all partitions for the task; also those that the app does not declare any more.

    Args:
        queue: its queue.
        count: how many partitions the app declares.
        task_id: its id.

    Returns:
        In which partition it is, None if that is not known, and what was read of it.

    Raises:
        BrokerError: it was not found, and may be where nobody answered.
    """
    names = partition_names(queue)
    declared, others = names[:count], names[count:]
    listed, *found = yield [are_listed(others), *(read_task(name, task_id) for name in declared)]
    seen = dict(zip(declared, found, strict=True))
    if not any(isinstance(one, Snapshot) and one.state for one in found):
        flags = [False] * len(others) if isinstance(listed, BrokerError) else listed
        more = [name for name, is_there in zip(others, flags, strict=True) if is_there]
        if more:
            found = yield [read_task(name, task_id) for name in more]
            seen |= dict(zip(more, found, strict=True))
    for name, one in seen.items():
        if isinstance(one, Snapshot) and one.state:
            return name, one
    # It may be where nobody answered.
    doubtful: Snapshot = value_or_raise(min(seen.values(), key=_answered))
    return None, doubtful


def _answered(value: object) -> bool:
    return not isinstance(value, BrokerError)

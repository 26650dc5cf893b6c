"""Finding a task by its id alone."""

from __future__ import annotations

from ..broker.command import Plain
from ..broker.keys import queue_keys
from ..errors import AmbiguousTaskId, TaskNotFound
from .both import AnyBroker
from .partitions import first_error
from .queues import all_names, is_placed

_TOGETHER = 1000
"""Queues that are asked by one pipeline per node."""


async def queues_with(broker: AnyBroker, task_id: str) -> list[str]:
    """The queues of the index that have a task of this id, sorted; of a queue with partitions, the partition.

    Raises:
        BrokerError: none of those that answer has it, and a node does not answer.
    """
    names = [name for name in await all_names(broker) if is_placed(broker, name)]
    found: list[str] = []
    replies: list[object] = []
    for start in range(0, len(names), _TOGETHER):
        some = names[start : start + _TOGETHER]
        keys = [queue_keys(name) for name in some]
        answers = await broker.run_many(
            [Plain(("EXISTS", one.task(task_id)), bool, one.slot) for one in keys]
        )
        found += [name for name, answer in zip(some, answers, strict=True) if answer is True]
        replies += answers
    if not found:
        first_error(replies)
    return found


async def queue_with(broker: AnyBroker, task_id: str) -> str:
    """The one queue that has a task of this id.

    Raises:
        TaskNotFound: no queue of the index has it.
        AmbiguousTaskId: several have.
        BrokerError: as `queues_with`.
    """
    found = await queues_with(broker, task_id)
    if not found:
        raise TaskNotFound(task_id)
    if len(found) > 1:
        raise AmbiguousTaskId(task_id, found)
    return found[0]

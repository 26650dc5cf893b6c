"""Since when tasks run, as their workers' records say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from ..errors import BrokerError
from ..inspector import Inspector, TaskInfo
from ..states import State

Place = tuple[str, str]
"""A task's queue and its id."""


def started(inspector: Inspector, tasks: Sequence[TaskInfo]) -> Mapping[Place, datetime]:
    """When those of the tasks that run were started.

    A worker tells it every few seconds, so of a task that has just been started it is not known. The records lie on
    other nodes than the tasks: where one cannot be asked, nothing is known, and the tasks are shown all the same.
    """
    owners = {(task.queue, task.id): task.owner for task in tasks if task.state is State.ACTIVE}
    if not owners:
        return {}
    try:
        servers = inspector.servers()
    except BrokerError:
        return {}
    begun: dict[Place, datetime] = {}
    for server in servers:
        for one in server.running:
            owner = owners.get((one.queue, one.id))
            # A worker that has lost a task may still say that it runs it. What Go took has no owner.
            if one.started and owner is not None and (not owner or owner.endswith(server.id)):
                begun[one.queue, one.id] = one.started
    return begun

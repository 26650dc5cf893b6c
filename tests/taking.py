"""Taking tasks without a worker."""

from __future__ import annotations

import uuid

from taskflow.broker.commands.dequeue import Taken, dequeue
from taskflow.broker.sync import Broker

_TRIES = 5


def take_one(broker: Broker, queue: str, owner: str) -> Taken:
    """Take the task that waits, as a worker does: it asks anew, by a token that was never used.

    A dequeue that is re-sent brings what its first copy took. If that was lost on its way, it brings nothing.
    """
    for _ in range(_TRIES):
        tasks = broker.run(dequeue(queue, owner, uuid.uuid4().hex, 1)).tasks
        if tasks:
            return tasks[0]
    raise AssertionError(f"no task waits in queue {queue}")

"""Taking tasks without a worker."""

from __future__ import annotations

import uuid

from taskflow.broker.commands.dequeue import Taken, dequeue
from taskflow.broker.sync import Broker


def take_one(broker: Broker, queue: str, owner: str) -> Taken:
    """Take the task that waits, as a worker does: while the server has no record of a call that was sent again, ask anew."""
    while (reply := broker.run(dequeue(queue, owner, uuid.uuid4().hex, 1))).unspent:
        pass
    assert reply.tasks, f"no task waits in queue {queue}"
    return reply.tasks[0]

"""Taking and finishing tasks without a worker."""

from __future__ import annotations

import uuid
from typing import Any

from taskflow.broker.commands.dequeue import Taken, dequeue
from taskflow.broker.sync import Broker
from taskflow.message.outcome import Outcome
from taskflow.states import Verb


def take_one(broker: Broker, queue: str, owner: str) -> Taken:
    """Take the task that waits."""
    tasks = take(broker, queue, owner, 1)
    assert tasks, f"no task waits in queue {queue}"
    return tasks[0]


def take(broker: Broker, queue: str, owner: str, count: int) -> list[Taken]:
    """Take what waits, as a worker does: while the server has no record of a call that was sent again, ask anew."""
    while (reply := broker.run(dequeue(queue, owner, uuid.uuid4().hex, count))).unspent:
        pass
    return reply.tasks


def ended(taken: Taken, verb: Verb, **fields: Any) -> tuple[Taken, Outcome]:
    """An item of `finish`; `fields` are the outcome's."""
    return taken, Outcome(fields.pop("number", 0), verb, **fields)

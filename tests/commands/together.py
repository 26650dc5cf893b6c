"""An app with one task, and what waits of it in its queue."""

from __future__ import annotations

from typing import Any

from taskflow import TaskFlow
from taskflow.broker.command import Plain, same
from taskflow.broker.keys import queue_keys
from taskflow.message.task_message import TaskMessage


def tasks_of(url: str, queue: str) -> Any:
    """An app with a task."""
    app = TaskFlow("together", broker=url, queue=queue, enqueue_timeout=20)

    @app.task(name="noop")
    def noop(number: int = 0) -> None: ...

    return app, noop


def waiting(task: Any) -> list[int]:
    """The numbers of the tasks that wait in a task's queue, in the order in which they will be taken."""
    broker, keys = task._backend.client.broker, queue_keys(task.queue)
    ids = broker.run(Plain(("LRANGE", keys.pending, 0, -1), same, keys.slot))
    wanted = [Plain(("HGET", keys.task(id_.decode()), "msg"), same, keys.slot) for id_ in reversed(ids)]
    # In parts: thousands in one pipeline would never arrive while one command in a hundred fails.
    parts = [wanted[at : at + 100] for at in range(0, len(wanted), 100)]
    messages = [TaskMessage.decode(data) for part in parts for data in broker.run_many(part)]
    return [task._decode(message.payload).get("number", 0) for message in messages]

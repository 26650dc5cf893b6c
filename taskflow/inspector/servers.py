"""Reading the records of running workers, of ours and of Go's, which Asynq calls servers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..broker.commands.inspect import read_record, read_workers, server_index
from ..broker.keys import ALL_SERVERS, ALL_WORKERS
from ..connection.steps import value_or_raise
from ..errors import DecodeError, ScriptError
from ..message.records import ServerInfo, WorkerInfo
from .both import AnyBroker
from .values import RunningTask, ServerView


async def all_servers(broker: AnyBroker) -> list[ServerView]:
    """Every worker whose record has not expired, sorted by host and pid.

    The index keeps the names of workers that were killed; whoever has no record any more is left out.
    Records expire by themselves, by the server's clock; the scores of the index come from many clocks.
    """
    prefix = f"{ALL_SERVERS}:".encode()
    keys = [key for key in await broker.run(server_index()) if key.startswith(prefix)]
    running = [f"{ALL_WORKERS}:".encode() + key.removeprefix(prefix) for key in keys]
    commands: list[Any] = [*map(read_record, keys), *map(read_workers, running)]
    # Anybody may enter a name in the index, of a key that is something else.
    replies = [
        None if isinstance(reply, ScriptError) else value_or_raise(reply)
        for reply in await broker.run_many(commands)
    ]
    views = map(_view, replies[: len(keys)], replies[len(keys) :])
    return sorted((view for view in views if view is not None), key=lambda view: (view.host, view.pid))


def _view(record: bytes | None, running: Iterable[bytes] | None) -> ServerView | None:
    if record is None:
        return None
    try:
        info = ServerInfo.decode(record)
    except DecodeError:
        return None
    tasks = [task for task in map(_running, running or ()) if task is not None]
    return ServerView(
        id=info.server_id,
        host=info.host,
        pid=info.pid,
        concurrency=info.concurrency,
        queues=dict(info.queues),
        strict=info.strict_priority,
        status=info.status,
        started=info.start_time.to_datetime(),
        active=info.active_worker_count,
        running=tuple(sorted(tasks, key=lambda task: (task.queue, task.id))),
    )


def _running(record: bytes) -> RunningTask | None:
    try:
        info = WorkerInfo.decode(record)
    except DecodeError:
        return None
    return RunningTask(
        id=info.task_id,
        type=info.task_type,
        queue=info.queue,
        started=info.start_time.to_datetime(),
        deadline=info.deadline.to_datetime(),
    )

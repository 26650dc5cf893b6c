"""Reading the records of running workers, of ours and of Go's, which Asynq calls servers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..broker.commands.inspect import read_record, read_workers, server_index, text
from ..broker.keys import ALL_SERVERS, ALL_WORKERS
from ..connection.steps import value_or_raise
from ..errors import BrokerUnavailable, DecodeError, ScriptError
from ..message.records import ServerInfo, WorkerInfo
from .both import AnyBroker
from .values import RunningTask, ServerView


async def all_servers(broker: AnyBroker) -> list[ServerView]:
    """Every worker whose record has not expired, sorted by host and pid.

    The index keeps the names of workers that were killed; whoever has no record any more is left out.
    Records expire by themselves, by the server's clock; the scores of the index come from many clocks. Of one whose node does not
    answer only its name is known, which says host and process.
    """
    prefix = f"{ALL_SERVERS}:".encode()
    keys = [key for key in await broker.run(server_index()) if key.startswith(prefix)]
    running = [f"{ALL_WORKERS}:".encode() + key.removeprefix(prefix) for key in keys]
    commands: list[Any] = [*map(read_record, keys), *map(read_workers, running)]
    replies = await broker.run_many(commands)
    pairs = zip(keys, replies[: len(keys)], replies[len(keys) :], strict=True)
    views = [_seen(text(key.removeprefix(prefix)), *pair) for key, *pair in pairs]
    return sorted((view for view in views if view is not None), key=lambda view: (view.host, view.pid))


def _seen(name: str, record: Any, running: Any) -> ServerView | None:
    away = next((reply for reply in (record, running) if isinstance(reply, BrokerUnavailable)), None)
    if away is not None:
        return _unknown(name, str(away))
    # Anybody may enter a name in the index, of a key that is something else.
    record, running = (
        None if isinstance(reply, ScriptError) else value_or_raise(reply) for reply in (record, running)
    )
    return _view(record, running)


def _unknown(name: str, problem: str) -> ServerView | None:
    """A worker of which only the name of its record is known, `{host:pid:id}`."""
    host, _, rest = name.removeprefix("{").removesuffix("}").rpartition(":")[0].rpartition(":")
    if not host or not rest.isdecimal():
        return None
    return ServerView(
        id=name.removesuffix("}").rpartition(":")[2],
        host=host,
        pid=int(rest),
        concurrency=0,
        queues={},
        strict=False,
        status="",
        started=None,
        active=0,
        running=(),
        problem=problem,
    )


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

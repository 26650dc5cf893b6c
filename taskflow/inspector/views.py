"""What `--json` prints: the inspector's values as plain objects with stable names (pure; see docs/cli.md).

Times are ISO 8601 in UTC, lengths of time are seconds, and what is not there is null. Payloads, results and
headers are only there when they were asked for.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from ..attempts import FailedAttempt
from ..broker.keys import queue_keys
from ..message.report import LogLine, Progress
from ..message.task_message import TaskMessage
from ..states import State
from .contents import shown_payload, shown_result
from .values import (
    ClusterQueue,
    DayCounts,
    NodeFacts,
    QueueInfo,
    RunningTask,
    ServerView,
    Stats,
    TaskInfo,
)

Object = dict[str, Any]


def queue_view(queue: QueueInfo, *, parts: bool = False) -> Object:
    """A queue; with `parts` also each of its partitions, if it has several."""
    view: Object = {
        "queue": queue.name,
        "paused": queue.paused,
        "size": queue.size,
        **{state.value: queue.count(state) for state in State},
        "groups": queue.groups,
        "orphans": queue.orphans,
        "latency": _seconds(queue.latency),
        "oldest_pending_since": _iso(queue.oldest_pending_since),
        "processed": queue.processed,
        "failed": queue.failed,
        "processed_total": queue.processed_total,
        "failed_total": queue.failed_total,
        "problem": queue.problem or None,
        "partitions": queue.partitions,
    }
    if parts and queue.parts:
        view["parts"] = [{"key_slot": queue_keys(part.name).slot, **queue_view(part)} for part in queue.parts]
    return view


def cluster_view(placed: ClusterQueue) -> Object:
    """A queue and the nodes that hold it."""
    return {
        "queue": placed.queue,
        "key_slot": placed.key_slot,
        "nodes": [
            {
                "id": node.id,
                "host": node.host,
                "port": node.port,
                "role": node.role,
                "failed": node.failed,
            }
            for node in placed.nodes
        ],
    }


def day_view(counts: DayCounts) -> Object:
    """A day of a queue."""
    return {"date": counts.day.isoformat(), "processed": counts.processed, "failed": counts.failed}


def listing_view(
    queue: str | None,
    state: State,
    tasks: Sequence[TaskInfo],
    total: int | None,
    page: int,
    size: int,
    *,
    more: bool,
    payload: bool,
) -> Object:
    """A page of tasks; `queue` None: of all queues, `total` None: nobody has counted those that fit."""
    return {
        "queue": queue,
        "state": state.value,
        "total": total,
        "page": page,
        "size": size,
        "more": more,
        "tasks": [task_view(task, payload=payload) for task in tasks],
    }


def task_view(task: TaskInfo, *, payload: bool, started: datetime | None = None) -> Object:
    """A task; since when it runs its worker knows."""
    message = task.message
    view: Object = {
        "id": task.id,
        "queue": task.queue,
        "state": task.state.value if task.state else None,
        "problem": task.problem.value or None,
        "type": message.type if message else None,
        "max_retries": message.max_retries if message else None,
        "retried": message.retried if message else None,
        "last_error": task.last_error or None,
        "error_type": task.error_type or None,
        "last_failed_at": _iso(task.last_failed_at),
        "timeout": (message.timeout or None) if message else None,
        "deadline": _iso(task.deadline),
        "retention": message.retention if message else None,
        "completed_at": _iso(task.completed_at),
        "next_process_at": _iso(task.next_process_at),
        "pending_since": _iso(task.pending_since),
        "archived_at": _iso(task.archived_at),
        "expires_at": _iso(task.expires_at),
        "start_until": _iso(task.start_until),
        "lease_until": _iso(task.lease_until),
        "is_orphaned": task.is_orphaned,
        "group": task.group or None,
        "unique_key": (message.unique_key or None) if message else None,
        "owner": task.owner or None,
        "crashes": task.crashes,
        "recoveries": task.recoveries,
        "snoozes": task.snoozes,
        "is_cancelled": task.is_cancelled,
        "attempts": [_attempt_view(one) for one in task.attempts],
    }
    if task.said is not None:
        progress = task.said.progress
        view |= {
            "started_at": _iso(started),
            "reported_at": _iso(task.said.at),
            "progress": progress_view(progress) if progress else None,
            "lines": [line_view(line) for line in task.said.lines],
        }
    if payload:
        view |= _contents(task.result, message) | {"result_problem": task.result_problem or None}
    return view


def progress_view(progress: Progress) -> Object:
    """How far a task is."""
    return {
        "done": progress.done,
        "total": progress.total,
        "note": progress.note,
        "at": _iso(progress.at),
        "attempt": progress.attempt,
    }


def line_view(line: LogLine) -> Object:
    """A line that a task has said."""
    return {
        "number": line.number,
        "text": line.text,
        "level": line.level or None,
        "at": _iso(line.at),
        "attempt": line.attempt,
    }


def _attempt_view(attempt: FailedAttempt) -> Object:
    return {
        "at": _iso(attempt.at),
        "seconds": attempt.seconds,
        "worker": attempt.worker or None,
        "type": attempt.kind or None,
        "module": attempt.module or None,
        "text": attempt.text or None,
        "traceback": attempt.traceback or None,
    }


def server_view(server: ServerView) -> Object:
    """A running worker."""
    return {
        "id": server.id,
        "host": server.host,
        "pid": server.pid,
        "state": server.status or None,
        "concurrency": server.concurrency,
        "active": server.active,
        "queues": dict(server.queues),
        "strict": server.strict,
        "started": _iso(server.started),
        "running": [_running_view(task) for task in server.running],
        "problem": server.problem or None,
    }


def stats_view(stats: Stats) -> Object:
    """Everything at a glance."""
    cluster = stats.cluster
    return {
        "measured_at": _iso(stats.measured_at),
        "total": {
            **{state.value: stats.total(state) for state in State},
            "processed": sum(queue.processed for queue in stats.queues),
            "failed": sum(queue.failed for queue in stats.queues),
        },
        "queues": [queue_view(queue) for queue in stats.queues],
        "nodes": [_node_view(node) for node in stats.nodes],
        "cluster": cluster
        and {
            "state": cluster.state,
            "known_nodes": cluster.known_nodes,
            "size": cluster.size,
            "slots_ok": cluster.slots_ok,
        },
    }


def as_text(data: bytes | None) -> str | None:
    """Bytes as text, or None where they are none."""
    try:
        return data.decode() if data is not None else None
    except UnicodeDecodeError:
        return None


def _contents(result: bytes | None, message: TaskMessage | None) -> Object:
    payload = shown_payload(message) if message else None
    return {
        "headers": dict(message.headers) if message else None,
        **_bytes("payload", payload),
        **_bytes("result", shown_result(result)),
    }


def _bytes(name: str, data: bytes | None) -> Object:
    """Text where it is text; else null, and the bytes as base64 beside it."""
    text = as_text(data)
    if data is not None and text is None:
        return {name: None, f"{name}_base64": base64.b64encode(data).decode()}
    return {name: text}


def _running_view(task: RunningTask) -> Object:
    return {
        "id": task.id,
        "type": task.type,
        "queue": task.queue,
        "started": _iso(task.started),
        "deadline": _iso(task.deadline),
    }


def _node_view(node: NodeFacts) -> Object:
    return {
        "address": node.address,
        "version": node.version or None,
        "uptime": _seconds(node.uptime),
        "connections": node.connections,
        "memory": node.memory,
        "peak_memory": node.peak_memory,
        "problem": node.problem or None,
    }


def _seconds(length: timedelta) -> float:
    return round(length.total_seconds(), 3)


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None

"""What Go's Asynq does to a queue, as the plain commands of its scripts.

Each function looks at the model, which is what the queue is, and returns the commands that Go's script would run, in one
atomic step; none when it would refuse. They run on the server in one MULTI, and in the model.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from taskflow.broker.keys import day_of
from taskflow.message.task_message import TaskMessage
from tests.properties.model import Model

Words = tuple[Any, ...]
LEASE = 30
SET_SECONDS = 120
NINETY_DAYS = 90 * 86400


def _nanoseconds() -> int:
    return time.time_ns()


def _counters(model: Model, *totals: str) -> list[Words]:
    words: list[Words] = []
    for total in totals:
        day = f"{total}:{day_of(time.time())}"
        words.append(("INCRBY", day, 1))
        if not model.store.has(day):
            words.append(("EXPIREAT", day, int(time.time()) + NINETY_DAYS))
        words.append(("INCRBY", total, 1))
    return words


def _unlock(model: Model, lock: str, task_id: str) -> list[Words]:
    return [("DEL", lock)] if lock and model.store.keys.get(lock) == task_id.encode() else []


# --- client --------------------------------------------------------------------------------------------------------------


def enqueue(model: Model, message: TaskMessage, *, at: int = 0, lock_seconds: int = 0) -> list[Words]:
    """Now, at a time, or into the group of the message; with a lock or without."""
    keys, task = model.keys, model.keys.task(message.id)
    words: list[Words] = []
    if lock_seconds:
        if model.store.has(message.unique_key):
            return []
        words.append(
            ("SET", message.unique_key, message.id, "EX", lock_seconds + (at and at - int(time.time())))
        )
        words.append(
            ("EXPIREAT", message.unique_key, int(time.time()) + lock_seconds + (at and at - int(time.time())))
        )
    if model.store.has(task):
        return words  # the lock stays
    grouped = bool(message.group_key) and not at
    state = "scheduled" if at else "aggregating" if grouped else "pending"
    words.append(("HSET", task, "msg", message.encode(), "state", state))
    if lock_seconds and not grouped:
        words.append(("HSET", task, "unique_key", message.unique_key))
    if at:
        words.append(("ZADD", keys.scheduled, at, message.id))
    elif grouped:
        words.append(("HSET", task, "group", message.group_key))
        words.append(("ZADD", keys.group(message.group_key), int(time.time()), message.id))
        words.append(("SADD", keys.groups, message.group_key))
    else:
        words.append(("HSET", task, "pending_since", _nanoseconds()))
        words.append(("LPUSH", keys.pending, message.id))
    return words


# --- server --------------------------------------------------------------------------------------------------------------


def dequeue(model: Model) -> tuple[str, list[Words]]:
    """The id that it gets, or an empty one."""
    keys = model.keys
    pending = model.store.elements(keys.pending)
    if model.store.has(keys.paused) or not pending:
        return "", []
    task_id = pending[-1]
    return task_id, [
        ("LREM", keys.pending, -1, task_id),
        ("LPUSH", keys.active, task_id),
        ("HSET", keys.task(task_id), "state", "active"),
        ("HDEL", keys.task(task_id), "pending_since"),
        ("ZADD", keys.lease, int(time.time()) + LEASE, task_id),
    ]


def _leave(model: Model, task_id: str) -> list[Words]:
    """Out of active; none when it is not there: `NOT FOUND`."""
    if task_id not in model.store.elements(model.keys.active):
        return []
    return [("LREM", model.keys.active, 0, task_id), ("ZREM", model.keys.lease, task_id)]


def done(model: Model, message: TaskMessage) -> list[Words]:
    words = _leave(model, message.id)
    if words:
        words.append(("DEL", model.keys.task(message.id)))
        words += _counters(model, model.keys.processed)
        words += _unlock(model, message.unique_key, message.id)
    return words


def complete(model: Model, message: TaskMessage) -> list[Words]:
    words = _leave(model, message.id)
    if words:
        now = int(time.time())
        kept = replace(message, completed_at=now)
        words.append(("ZADD", model.keys.completed, now + message.retention, message.id))
        words.append(("HSET", model.keys.task(message.id), "msg", kept.encode(), "state", "completed"))
        words += _counters(model, model.keys.processed)
        words += _unlock(model, message.unique_key, message.id)
    return words


def requeue(model: Model, message: TaskMessage) -> list[Words]:
    words = _leave(model, message.id)
    if words:
        words.append(("RPUSH", model.keys.pending, message.id))
        words.append(("HSET", model.keys.task(message.id), "state", "pending"))
    return words


def retry(model: Model, message: TaskMessage, delay: int, error: str) -> list[Words]:
    words = _leave(model, message.id)
    if words:
        now = int(time.time())
        kept = replace(message, retried=message.retried + 1, error_msg=error, last_failed_at=now)
        words.append(("ZADD", model.keys.retry, now + delay, message.id))
        words.append(("HSET", model.keys.task(message.id), "msg", kept.encode(), "state", "retry"))
        words += _counters(model, model.keys.processed, model.keys.failed)
    return words


def archive(model: Model, message: TaskMessage, error: str) -> list[Words]:
    words = _leave(model, message.id)
    if words:
        now = int(time.time())
        kept = replace(message, error_msg=error, last_failed_at=now)
        words.append(("ZADD", model.keys.archived, now, message.id))
        words.append(("HSET", model.keys.task(message.id), "msg", kept.encode(), "state", "archived"))
        words += _counters(model, model.keys.processed, model.keys.failed)
    return words


def expired(model: Model) -> list[str]:
    """The tasks that its recoverer would take: leases that ended half a minute ago."""
    scores = model.store.scores(model.keys.lease)
    return [one for one in model.store.ranked(model.keys.lease) if scores[one] <= int(time.time()) - LEASE]


def recover(model: Model, task_id: str, delay: int) -> list[Words]:
    """It knows no owner: a failure of the task, for it."""
    message = model.message(task_id)
    error = "asynq: task lease expired"
    if message.retried >= message.max_retries:
        return archive(model, message, error)
    return retry(model, message, delay, error)


def extend(model: Model, ids: Sequence[str]) -> list[Words]:
    leased = model.store.scores(model.keys.lease)
    return [("ZADD", model.keys.lease, int(time.time()) + LEASE, one) for one in ids if one in leased]


def forward(model: Model, source: str) -> list[Words]:
    """From `scheduled` or `retry`. The group is not entered in `groups`."""
    words: list[Words] = []
    scores = model.store.scores(source)
    for task_id in model.store.ranked(source):
        if scores[task_id] > int(time.time()):
            continue
        task = model.keys.task(task_id)
        group = model.task(task_id).get("group", b"").decode()
        if group:
            words.append(("ZADD", model.keys.group(group), int(time.time()), task_id))
            words.append(("HSET", task, "state", "aggregating"))
        else:
            words.append(("LPUSH", model.keys.pending, task_id))
            words.append(("HSET", task, "state", "pending", "pending_since", _nanoseconds()))
        words.append(("ZREM", source, task_id))
    return words


def write_result(model: Model, task_id: str, result: bytes) -> list[Words]:
    """Whether the task is there or not."""
    return [("HSET", model.keys.task(task_id), "result", result)]


# --- aggregation ---------------------------------------------------------------------------------------------------------


def aggregate(model: Model, group: str, name: str) -> list[Words]:
    """Take all tasks of a group into a set of this name."""
    key = model.keys.group(group)
    chosen = f"{key}:{name}"
    scores = model.store.scores(key)
    if not scores:
        return []
    words: list[Words] = [("ZADD", chosen, score, task_id) for task_id, score in scores.items()]
    words.append(("DEL", key))
    words.append(("ZADD", model.keys.aggregation_sets, int(time.time()) + SET_SECONDS, chosen))
    words.append(("SREM", model.keys.groups, group))
    return words


def delete_set(model: Model, key: str) -> list[Words]:
    """Its aggregation is done. Locks stay."""
    words: list[Words] = [("DEL", model.keys.task(task_id)) for task_id in model.store.scores(key)]
    return [*words, ("DEL", key), ("ZREM", model.keys.aggregation_sets, key)]


def reclaim(model: Model) -> list[Words]:
    """Give stale sets back. The group is not entered in `groups`."""
    words: list[Words] = []
    stale = model.store.scores(model.keys.aggregation_sets)
    for key, score in stale.items():
        if score <= int(time.time()):
            group = key.rpartition(":")[0]
            words += [("ZADD", group, since, task_id) for task_id, since in model.store.scores(key).items()]
            words += [("DEL", key), ("ZREM", model.keys.aggregation_sets, key)]
    return words


# --- inspector -----------------------------------------------------------------------------------------------------------


def _leave_waiting(model: Model, task_id: str, state: str) -> list[Words]:
    """Out of its place; none when it is not there (Go's script fails then, before it has written)."""
    keys = model.keys
    if state == "pending":
        return [("LREM", keys.pending, 0, task_id)]
    if state != "aggregating":
        return [("ZREM", keys.state(state), task_id)]
    group = model.task(task_id).get("group", b"").decode()
    key = keys.group(group)
    if task_id not in model.store.scores(key):
        return []
    last = len(model.store.scores(key)) == 1
    return [("ZREM", key, task_id), *([("SREM", keys.groups, group)] if last else [])]


def run_task(model: Model, task_id: str) -> list[Words]:
    state = model.state(task_id)
    words = [] if state in ("", "active", "pending") else _leave_waiting(model, task_id, state)
    if words:
        words.append(("LPUSH", model.keys.pending, task_id))
        words.append(("HSET", model.keys.task(task_id), "state", "pending"))
    return words


def archive_task(model: Model, task_id: str) -> list[Words]:
    state = model.state(task_id)
    words = [] if state in ("", "active", "archived") else _leave_waiting(model, task_id, state)
    if words:
        words.append(("ZADD", model.keys.archived, int(time.time()), task_id))
        words.append(("HSET", model.keys.task(task_id), "state", "archived"))
    return words


def delete_task(model: Model, task_id: str) -> list[Words]:
    state = model.state(task_id)
    words = [] if state in ("", "active") else _leave_waiting(model, task_id, state)
    if words:
        words += _unlock(model, model.task(task_id).get("unique_key", b"").decode(), task_id)
        words.append(("DEL", model.keys.task(task_id)))
    return words


def _all_of(model: Model, state: str, group: str) -> tuple[str, list[str]]:
    if state == "pending":
        return model.keys.pending, list(model.store.elements(model.keys.pending))
    key = model.keys.group(group) if state == "aggregating" else model.keys.state(state)
    return key, model.store.ranked(key)


def _emptied(model: Model, key: str, state: str, group: str) -> list[Words]:
    return [("DEL", key), *([("SREM", model.keys.groups, group)] if state == "aggregating" else [])]


def run_all(model: Model, state: str, group: str) -> list[Words]:
    key, ids = _all_of(model, state, group)
    words: list[Words] = []
    for task_id in ids:
        words.append(("LPUSH", model.keys.pending, task_id))
        words.append(("HSET", model.keys.task(task_id), "state", "pending"))
    return words + _emptied(model, key, state, group) if ids else []


def archive_all(model: Model, state: str, group: str) -> list[Words]:
    key, ids = _all_of(model, state, group)
    words: list[Words] = []
    for task_id in ids:
        words.append(("ZADD", model.keys.archived, int(time.time()), task_id))
        words.append(("HSET", model.keys.task(task_id), "state", "archived"))
    return words + _emptied(model, key, state, group) if ids else []


def delete_all(model: Model, state: str, group: str) -> list[Words]:
    """The locks of pending and aggregating tasks stay."""
    key, ids = _all_of(model, state, group)
    words: list[Words] = []
    for task_id in ids:
        if state not in ("pending", "aggregating"):
            words += _unlock(model, model.task(task_id).get("unique_key", b"").decode(), task_id)
        words.append(("DEL", model.keys.task(task_id)))
    return words + _emptied(model, key, state, group) if ids else []

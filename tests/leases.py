"""Leases that end, and tasks that are due, although no time has passed: what stands in the storage is set back."""

from __future__ import annotations

from typing import Any

import redis


def end_leases(raw: redis.Redis, queue: str, seconds: float = 120) -> None:
    """Let so many seconds pass for every lease of the queue."""
    key = f"asynq:{{{queue}}}:lease"
    leases: Any = raw.zrange(key, 0, -1)
    for task_id in leases:
        raw.zincrby(key, -seconds, task_id)


def make_due(raw: redis.Redis, queue: str) -> None:
    """Let the time come of whatever was put off in the queue."""
    key = f"asynq:{{{queue}}}:scheduled"
    tasks: Any = raw.zrange(key, 0, -1)
    for task_id in tasks:
        raw.zadd(key, {task_id: 5})

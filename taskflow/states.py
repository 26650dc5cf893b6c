"""The states of a task and the legal moves between them (Asynq's seven states).

Every Lua script says in its head which of these moves it makes; a test holds the scripts to this table.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a task is.

    The value is what the `state` field of the task's hash holds, and the suffix of its key.
    """

    PENDING = "pending"
    ACTIVE = "active"
    SCHEDULED = "scheduled"
    RETRY = "retry"
    ARCHIVED = "archived"
    COMPLETED = "completed"
    AGGREGATING = "aggregating"


NEW = "new"
"""Before the first write: the task does not exist yet."""

GONE = "gone"
"""After the last: the hash is deleted."""

MOVES: frozenset[tuple[str, str]] = frozenset(
    {
        (NEW, "pending"),
        (NEW, "scheduled"),
        (NEW, "aggregating"),
        ("pending", "active"),
        ("pending", "archived"),
        ("active", GONE),
        ("active", "completed"),
        ("active", "retry"),
        ("active", "archived"),
        ("active", "pending"),
        ("active", "scheduled"),
        ("scheduled", "pending"),
        ("scheduled", "aggregating"),
        ("scheduled", "archived"),
        ("retry", "pending"),
        ("retry", "aggregating"),
        ("retry", "archived"),
        ("archived", "pending"),
        ("completed", "pending"),
        ("aggregating", "pending"),
        ("aggregating", "archived"),
        ("aggregating", "scheduled"),
        ("pending", GONE),
        ("scheduled", GONE),
        ("retry", GONE),
        ("archived", GONE),
        ("completed", GONE),
        ("aggregating", GONE),
    }
)
"""Every (from, to) that a script may make."""


class Verb(StrEnum):
    """How an attempt at a task ended: the closed set of verdicts that `finish.lua` writes."""

    DONE = "d"
    COMPLETE = "c"
    RETRY = "r"
    SNOOZE = "s"
    ARCHIVE = "a"
    ARCHIVE_RAW = "x"
    REQUEUE = "q"
    REQUEUE_CRASHED = "k"
    PUT_BACK = "u"

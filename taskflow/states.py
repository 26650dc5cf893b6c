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

    def __eq__(self, other: object) -> bool:
        """Whether it is the same; a word of Celery's raises TypeError: `handle.state == "SUCCESS"` would never be true."""
        if type(other) is str and other in _CELERYS:
            raise TypeError(
                f"a state is never {other!r}, which is Celery's word: handle.status has those, handle.state is a taskflow.State "
                f"({self.value!r})"
            )
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        """The opposite."""
        return not self == other

    __hash__ = str.__hash__


_CELERYS = frozenset(
    ["FAILURE", "IGNORED", "PENDING", "RECEIVED", "REJECTED", "RETRY", "REVOKED", "STARTED", "SUCCESS"]
)
"""The values of `celery.states`."""

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


class CancelOutcome(StrEnum):
    """What became of an order to cancel a task."""

    CANCELLED = "cancelled"
    """It waited, and is archived."""
    ASKED = "asked"
    """It runs: whoever runs it is told, and it will not be run again."""
    ENDED = "ended"
    """It had ended, well or not, or there is no such task (any more)."""


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


NOT_CELERYS = _CELERYS | frozenset(
    [
        "EXCEPTION_STATES",
        "PROPAGATE_STATES",
        "READY_STATES",
        "UNREADY_STATES",
    ]
)
"""What `celery.states` has, and there is not."""


def __getattr__(name: str) -> None:
    if name in NOT_CELERYS:
        # Not an AttributeError: of that, an import would show nothing.
        raise ImportError(
            f'taskflow.states has no {name}: result.status is text in Celery\'s words, as "SUCCESS", result.state a State; '
            "result.ready(), successful() and failed() ask for what they say"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

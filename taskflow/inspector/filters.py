"""Which tasks of a state: by name, by what they failed with, by age (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from ..errors import InvalidOption
from ..options.values import seconds
from ..states import State
from .values import Problem, TaskInfo

AGES = {
    State.PENDING: "pending_since",
    State.ACTIVE: "pending_since",
    State.RETRY: "last_failed_at",
    State.ARCHIVED: "archived_at",
    State.COMPLETED: "completed_at",
}
"""Since when a task counts as being in its state. Of the other states nothing says so."""


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks are meant. What is empty, or None, is not asked; a task fits if all of the others fit.

    Args:
        name: of the task, with `*`, `?` and `[…]` as in a shell; upper and lower case differ.
        error: the type that it last failed with, likewise: the name alone, or with its module (`shop.PaymentError`). What failed
            in Go has none.
        text: a part of the text of its last error; upper and lower case are the same.
        older_than: seconds (or a timedelta) that it has been in its state, at least: since it was archived, completed, became
            pending, or last failed (retry).
        newer_than: at most.

    Raises:
        InvalidOption: an age is no duration.

    Example:
        >>> TaskFilter(name="shop.*", error="PaymentError", older_than=3600)  # doctest: +ELLIPSIS
        TaskFilter(name='shop.*', error='PaymentError', text='', older_than=3600...)
    """

    name: str = ""
    error: str = ""
    text: str = ""
    older_than: float | timedelta | None = None
    newer_than: float | timedelta | None = None

    def __post_init__(self) -> None:
        for option in ("older_than", "newer_than"):
            if (given := getattr(self, option)) is not None:
                object.__setattr__(self, option, seconds(option, given))

    def check(self, state: State) -> None:
        """Raise InvalidOption if the ages of tasks in a state are not known, and one is asked."""
        if state not in AGES and (self.older_than, self.newer_than) != (None, None):
            raise InvalidOption(
                f"of tasks in state {state.value} nothing says how old they are; ages are known of {', '.join(AGES)}"
            )

    def fits(self, task: TaskInfo, state: State, now: float) -> bool:
        """Whether a task is meant.

        Args:
            task: as a listing has it.
            state: in which it was listed.
            now: the server's time in Unix seconds.
        """
        if self == _ALL:
            return True
        if task.problem is not Problem.NONE or not fnmatchcase(task.type, self.name or "*"):
            return False
        if self.error and not _failed_with(task, self.error):
            return False
        if self.text and self.text.casefold() not in task.last_error.casefold():
            return False
        return self._is_of_age(since(task, state), now)

    def _is_of_age(self, since: datetime | None, now: float) -> bool:
        if self.older_than is None and self.newer_than is None:
            return True
        if since is None:
            return False
        age_seconds = timedelta(seconds=now - since.timestamp())
        older, newer = _length(self.older_than), _length(self.newer_than)
        return (older is None or age_seconds >= older) and (newer is None or age_seconds <= newer)


_ALL = TaskFilter()


def since(task: TaskInfo, state: State) -> datetime | None:
    """Since when a task is in its state; None: nothing says so."""
    found: datetime | None = getattr(task, AGES[state]) if state in AGES else None
    return found


def _failed_with(task: TaskInfo, pattern: str) -> bool:
    kind = task.error_type
    if not kind:
        return False
    last = task.attempts[-1] if task.attempts else None
    whole = f"{last.module}.{last.type}" if last else kind
    return fnmatchcase(kind, pattern) or fnmatchcase(whole, pattern)


def _length(given: float | timedelta | None) -> timedelta | None:
    return timedelta(seconds=given) if isinstance(given, int | float) else given

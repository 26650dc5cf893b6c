"""What `drain()` reports (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from ..errors import Retry


class Ending(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    RETRIED = "retried"
    SNOOZED = "snoozed"
    FAILED = "failed"
    """The task is archived."""
    CANCELLED = "cancelled"
    """Likewise, because somebody, or the task itself, has cancelled it."""
    PUT_BACK = "put back"
    """Nobody here can read it."""
    EXPIRED = "expired"
    """Likewise, since it was to start by a time that has passed."""


@dataclass(frozen=True, slots=True)
class Attempted:
    """One attempt at a task.

    Args:
        task: the task's name.
        id: its id.
        queue: where it was taken from.
        ending: how it ended.
        retried: how many attempts had failed before.
        error: what it raised.
        reason: why it is archived, where nothing was raised.
        seconds: how long it ran.
        delay: seconds until the next attempt, where there is one.
    """

    task: str
    id: str
    queue: str
    ending: Ending
    retried: int = 0
    error: BaseException | None = field(default=None, repr=False)
    reason: str = ""
    seconds: float = 0.0
    delay: float = 0.0

    @property
    def is_unexpected(self) -> bool:
        """Whether `drain(raises=True)` raises it."""
        asked = isinstance(self.error, Retry)
        return self.ending is Ending.FAILED or (self.ending is Ending.RETRIED and not asked)


@dataclass(frozen=True, slots=True)
class Drained:
    """All attempts of a `drain()`, in their order. It can be iterated, counted, and is true if anything ran.

    Example:
        >>> report = drain(raises=False)                            # doctest: +SKIP
        >>> [one.task for one in report.failed]                     # doctest: +SKIP
        ['shop.tasks.charge']
    """

    attempts: tuple[Attempted, ...] = ()

    def __len__(self) -> int:
        return len(self.attempts)

    def __iter__(self) -> Iterator[Attempted]:
        return iter(self.attempts)

    def _of(self, *endings: Ending) -> tuple[Attempted, ...]:
        return tuple(one for one in self.attempts if one.ending in endings)

    @property
    def names(self) -> list[str]:
        """The names of the tasks, one for each attempt."""
        return [one.task for one in self.attempts]

    @property
    def succeeded(self) -> tuple[Attempted, ...]:
        """The attempts that succeeded."""
        return self._of(Ending.SUCCEEDED)

    @property
    def retried(self) -> tuple[Attempted, ...]:
        """Those after which there is, or was, another."""
        return self._of(Ending.RETRIED)

    @property
    def snoozed(self) -> tuple[Attempted, ...]:
        """Those that asked to be run again later (`raise Snooze`)."""
        return self._of(Ending.SNOOZED)

    @property
    def failed(self) -> tuple[Attempted, ...]:
        """Those with which a task failed for good: it is archived."""
        return self._of(Ending.FAILED)

    @property
    def cancelled(self) -> tuple[Attempted, ...]:
        """Those that were cancelled."""
        return self._of(Ending.CANCELLED)

    @property
    def expired(self) -> tuple[Attempted, ...]:
        """Tasks that were not run since their time to start had passed."""
        return self._of(Ending.EXPIRED)

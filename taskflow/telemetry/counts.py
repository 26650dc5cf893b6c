"""How many attempts at tasks of each name have ended, how many failed, and how long they took.

A child counts, and sends what has come together with each batch of verdicts; the worker adds it up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec


class TaskCount(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """So many attempts at tasks of one name have ended, `failures` of them badly: the task is retried or archived. `seconds` is
    how long all of them took together, `longest_seconds` how long one did.
    """

    name: str
    count: int
    failures: int
    seconds: float
    longest_seconds: float


class Tally:
    """What has come together for one name. Any thread may add to it: `append` is one step, and costs less than a lock.

    Args:
        name: of the tasks.
        most: attempts that are remembered; None: all, until somebody takes them.
    """

    __slots__ = ("failed", "name", "succeeded")

    def __init__(self, name: str, most: int | None = None) -> None:
        self.name = name
        self.succeeded: deque[float] = deque(maxlen=most)
        """Seconds of each attempt; `failed` likewise."""
        self.failed: deque[float] = deque(maxlen=most)

    def take(self) -> TaskCount | None:
        """What has come since the last time; None: nothing."""
        succeeded, failed = self.succeeded, self.failed
        if not (succeeded or failed):
            return None
        lost = [failed.popleft() for _ in range(len(failed))]
        seconds = [succeeded.popleft() for _ in range(len(succeeded))] + lost
        return TaskCount(self.name, len(seconds), len(lost), sum(seconds), max(seconds))


class Tallies:
    """Those of a child, by name.

    Args:
        taken: whether somebody takes what comes together. If not, as in eager mode, nothing does.
    """

    def __init__(self, *, taken: bool = True) -> None:
        self._most = None if taken else 0
        self._tallies: dict[str, Tally] = {}

    def of(self, name: str) -> Tally:
        """The one of this name, which has to be that of a task of the app: they are kept for ever."""
        found = self._tallies.get(name)
        return found if found is not None else self._tallies.setdefault(name, Tally(name, self._most))

    def take(self) -> list[TaskCount]:
        """What has come since the last time. For one thread."""
        return [count for tally in list(self._tallies.values()) if (count := tally.take()) is not None]


class Totals:
    """All that the children of a worker have counted, for as long as it runs."""

    def __init__(self) -> None:
        self._totals: dict[str, TaskCount] = {}

    def add(self, counts: Iterable[TaskCount]) -> None:
        """What a child has sent."""
        totals = self._totals
        for new in counts:
            old = totals.get(new.name)
            totals[new.name] = new if old is None else _sum(old, new)

    def all(self) -> list[TaskCount]:
        """Every name, those with most attempts first."""
        return sorted(self._totals.values(), key=lambda one: (-one.count, one.name))

    def sum(self) -> TaskCount:
        """All names together."""
        total = TaskCount("", 0, 0, 0.0, 0.0)
        for one in self._totals.values():
            total = _sum(total, one)
        return total


def _sum(one: TaskCount, other: TaskCount) -> TaskCount:
    return TaskCount(
        one.name,
        one.count + other.count,
        one.failures + other.failures,
        one.seconds + other.seconds,
        max(one.longest_seconds, other.longest_seconds),
    )

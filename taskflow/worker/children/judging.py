"""Tasks that were ended from outside, by a hard time limit: a child says what becomes of them, as it knows the retry policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..holding.held_tasks import Held
from .child import Child


class Judging:
    """Gives such tasks to a child, at once or as soon as there is one.

    Args:
        children: those that there are.
    """

    def __init__(self, children: Callable[[], Sequence[Child]]) -> None:
        self._children = children
        self._waiting: list[Held] = []

    def give(self, held: Held) -> None:
        """Ask a child for the verdict, one that answers if there is any."""
        able = (child for child in self._children() if child.takes_work)
        child = min(able, key=lambda child: child.stalled, default=None)
        if child is None:
            self._waiting.append(held)
        else:
            child.send_jobs([held])

    def offer(self, child: Child) -> None:
        """A child has started: give it the tasks that have waited for a child."""
        waiting = self.drain()
        if waiting:
            child.send_jobs(waiting)

    def drain(self) -> list[Held]:
        """What waits; it is the caller's from here on."""
        waiting, self._waiting = self._waiting, []
        return waiting

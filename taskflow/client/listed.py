"""Which queues this process has entered in the index of all queues, and which it is to enter again (no I/O)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from ..broker.commands.enqueue import NewTask
from ..broker.keys import ALL_QUEUES
from ..connection.topology import key_slot

AGAIN = 60.0
"""Seconds after which a queue that is still used is entered again: somebody may have removed it, or emptied the server."""

PATIENCE = 1.0
"""Seconds that this may take. It is of use, but not needed: the tasks are enqueued."""

INDEX_SLOT = key_slot(ALL_QUEUES)


class Listed:
    """Used by all threads and event loops of a client.

    Args:
        clock: monotonic seconds.

    Attributes:
        names: the queues that were entered.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.names: set[str] = set()
        self._clock = clock
        self.again_at = clock() + AGAIN
        self.stale: frozenset[str] = frozenset()

    def add(self, queues: Iterable[str]) -> None:
        """They were entered just now."""
        self.names |= set(queues)

    def again(self, tasks: Iterable[NewTask]) -> list[str]:
        """The queues of these tasks, which have just been enqueued, that are to be entered again. Those that nobody uses any
        more are not: they may have been removed for good.
        """
        now = self._clock()
        if now >= self.again_at:
            self.again_at = now + AGAIN
            self.stale = frozenset(self.names)
        if not self.stale:
            return []
        used = self.stale.intersection(task.terms.queue for task in tasks)
        self.stale -= used
        return sorted(used)

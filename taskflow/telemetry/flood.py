"""Keeps what somebody else decides on, such as how many tasks are refused, from flooding the log."""

from __future__ import annotations

import time
from collections.abc import Callable

MINUTE = 60.0

MOST_OF_A_KIND = 10
"""Lines of one kind in a minute: the first are worth their place, the others say the same."""

MOST = 60
"""Lines of all kinds in a minute: whoever fills a queue may give each task another name."""


class Flood:
    """Lets some lines of each kind through in a minute, and counts the others. Threads may share it: a line too many is no harm.

    Args:
        clock: monotonic seconds.

    Example:
        >>> flood = Flood(lambda: 0.0)
        >>> [flood.passes("a") for _ in range(11)].count(None), flood.passes("b")
        (1, '')
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends_at = 0.0
        self._said: dict[str, int] = {}
        self._left_out = 0

    def passes(self, kind: str) -> str | None:
        """None: the line is left out. Otherwise what to write behind it: nothing, or how many were left out before."""
        now = self._clock()
        behind = ""
        if now >= self._ends_at:
            if self._left_out:
                behind = f" ({self._left_out:,} more such lines were left out)"
            self._ends_at, self._said, self._left_out = now + MINUTE, {}, 0
        said = self._said.get(kind, 0)
        if said >= MOST_OF_A_KIND or sum(self._said.values()) >= MOST:
            self._left_out += 1
            return None
        self._said[kind] = said + 1
        return behind

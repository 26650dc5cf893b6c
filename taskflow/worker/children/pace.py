"""How quickly a child ends its tasks, and how far ahead of its free slots it is therefore given more (no I/O)."""

from __future__ import annotations

import math

from ...pipe import shared_marks

AHEAD_SECONDS = 0.05
"""Quick tasks are sent ahead of the free slots, as many as will start within this time at their measured
pace.
"""

QUICK_SECONDS = 0.02
"""A task that takes longer on average is never sent ahead."""

PACE_SECONDS = 0.1
"""Over so long the pace is measured; what was before counts less and less."""

_FIRST_SECONDS = PACE_SECONDS / 10
"""As if nothing had ended for so long: a first outcome that comes at once is not the pace."""

_MOST_AHEAD = shared_marks.RING // 4


class Pace:
    """What is known of one child.

    Args:
        now: when it was born, by the monotonic clock.
    """

    def __init__(self, now: float) -> None:
        self._seconds = 1.0
        self._ended = 0.0
        self._passed = _FIRST_SECONDS
        self._looked_at = now

    @property
    def per_second(self) -> float:
        """Tasks that have ended in a second, lately."""
        return self._ended / self._passed

    def ahead(self, slots: int) -> int:
        """How many tasks more than it has slots it is given."""
        if self._seconds > QUICK_SECONDS:
            return 0
        return min(max(int(self.per_second * AHEAD_SECONDS), slots), _MOST_AHEAD)

    def begins(self, now: float) -> None:
        """It was idle, and has work: what passed before does not count."""
        self._looked_at = now

    def ended(self, now: float, count: int, seconds: float) -> None:
        """So many outcomes have just come, of attempts that took so long together."""
        elapsed, self._looked_at = max(now - self._looked_at, 0.0), now
        mean = seconds / count
        # A slow task counts at once, a quick one little by little: sending too far ahead is the worse
        # mistake.
        weight = 0.5 if mean > self._seconds else 0.2
        self._seconds += weight * (mean - self._seconds)
        # What has ended and the time that it took are added up, each by itself. Outcomes come in bursts, and of two that come
        # together the second has taken no time at all: a mean of such paces is far above any that there was, and what was sent
        # ahead by it had to be taken back, unstarted.
        fades = math.exp(-elapsed / PACE_SECONDS)
        self._ended = self._ended * fades + count
        self._passed = self._passed * fades + elapsed

    def was_late(self, seconds: float) -> None:
        """What was sent did not start for so long: nothing is sent ahead until quick tasks have ended."""
        self._seconds = max(self._seconds, seconds)

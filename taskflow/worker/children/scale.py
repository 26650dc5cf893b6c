"""How many tasks run at once, between two numbers: more while tasks wait, fewer when they are not needed (no I/O)."""

from __future__ import annotations


class Scale:
    """The number that is right now.

    It grows within a second or two, each time to the double, while every slot is in use and tasks wait. It shrinks to what was
    needed, once that was so for a while: what comes in waves does not go up and down with them.

    Args:
        least: as few are always ready.
        most: never more than so many.
        up_seconds: between two steps up, and before the first.
        down_seconds: for so long fewer have to suffice before it shrinks.
    """

    def __init__(self, least: int, most: int, up_seconds: float, down_seconds: float) -> None:
        self.least = least
        self.most = most
        self.now = least
        self._up_seconds = up_seconds
        self._down_seconds = down_seconds
        self._full_since: float | None = None
        self._since = 0.0
        self._needed = 0

    def is_full_for_long(self, now: float, busy: int) -> bool:
        """One look: whether it is time to ask if tasks wait.

        Args:
            now: monotonic seconds.
            busy: how many slots are in use.
        """
        self._needed = max(self._needed, busy)
        if busy < self.now or self.now >= self.most:
            self._full_since = None
            return False
        if self._full_since is None:
            self._full_since = now
        return now - self._full_since >= self._up_seconds

    def grow(self, now: float) -> None:
        """All are in use, and tasks wait."""
        self.now = min(self.now * 2, self.most)
        self._full_since = now
        self._needed = self.now
        self._since = now

    def wait(self, now: float) -> None:
        """All are in use, and nothing waits: it is asked again after a while."""
        self._full_since = now

    def shrink(self, now: float) -> bool:
        """Whether fewer were enough for long; then there are as many from now on."""
        if not self._since:
            self._since = now
        if now - self._since < self._down_seconds:
            return False
        enough = max(self.least, self._needed)
        self._since, self._needed = now, 0
        if enough >= self.now:
            return False
        self.now = enough
        return True

"""Time behind one object: the server's clock, as far as its replies let us know it."""

from __future__ import annotations

import time


class ServerClock:
    """The server's time, from this host's clock and the offset that replies bring.

    Leases, scores and days are the server's, since the clocks of workers differ. Until a reply
    has come the offset is zero.
    """

    __slots__ = ("_offset",)

    def __init__(self) -> None:
        self._offset = 0.0

    def observe(self, server_time: float) -> None:
        """Take over the server's time, in Unix seconds, from a reply that has just come."""
        self._offset = server_time - time.time()

    def now(self) -> float:
        """The server's time in Unix seconds."""
        return time.time() + self._offset

    @property
    def offset(self) -> float:
        """Seconds that the server is ahead of this host."""
        return self._offset

"""Looks at the time limits of a worker's children."""

from __future__ import annotations

from collections.abc import Callable

from ..service import Service

LIMITS_PERIOD = 0.025
"""Seconds between two looks at what should have started or ended."""


class Limits(Service):
    """Looks at what should have started, and at what should have ended.

    Args:
        look: one look.
    """

    name = "time limits"

    def __init__(self, look: Callable[[], None]) -> None:
        super().__init__()
        self._look = look

    async def tick(self) -> float:
        """One look."""
        self._look()
        return LIMITS_PERIOD

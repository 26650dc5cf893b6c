"""How a worker brought an attempt, for `self.request`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Delivery:
    """How a worker brought an attempt, beyond what `CurrentTask` says.

    Args:
        kwargs: the arguments, as the function gets them.
        soft_seconds: the soft limit, from the start.
        hard_seconds: the hard one.
        expires_at_ms: until when it had to start, in milliseconds of the clock that `time.monotonic` reads; 0: no matter when.
        eager: whether it runs where it was enqueued.
    """

    __slots__ = ("eager", "expires_at_ms", "hard_seconds", "kwargs", "soft_seconds")

    # No dataclass: each child imports this, and making one takes most of a millisecond.
    def __init__(
        self,
        kwargs: Mapping[str, Any],
        soft_seconds: float,
        hard_seconds: float,
        expires_at_ms: int,
        *,
        eager: bool,
    ) -> None:
        self.kwargs = kwargs
        self.soft_seconds = soft_seconds
        self.hard_seconds = hard_seconds
        self.expires_at_ms = expires_at_ms
        self.eager = eager

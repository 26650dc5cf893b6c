"""Cancel: archive what waits, mark what runs, and tell whoever runs it."""

from __future__ import annotations

from collections.abc import Sequence

from ...message.kept import ARCHIVE_SECONDS
from ..builder import builder
from ..command import Command
from ..keys import CANCEL_CHANNEL, queue_keys
from ..words import Cancelled
from .finish import ARCHIVE_SIZE
from .maintenance import EFFORT
from .once import once

BATCH = 100
"""Ids of one script call at most."""

_build = builder(
    "cancel",
    "answer grace",
    go_cancels=CANCEL_CHANNEL,
    archive_seconds=ARCHIVE_SECONDS,
    archive_size=ARCHIVE_SIZE,
    effort_limit=EFFORT,
)


def cancel(queue: str, ids: Sequence[str], grace: float | None = None) -> Command[list[Cancelled]]:
    """Cancel tasks of one queue.

    The reply may be for the first of them only, where the queue is very long: the others are for another call.

    Args:
        queue: its name.
        ids: their ids, at most `BATCH`.
        grace: seconds that those that run have to end, before their process is killed; None: it is not.
    """
    keys = queue_keys(queue)
    words = "" if grace is None else f"{grace:.3f}"
    return once(_build, keys, _cancelled, [keys.task(one) for one in ids], ids, grace=words)


def _cancelled(reply: list[int]) -> list[Cancelled]:
    return [Cancelled(item) for item in reply]

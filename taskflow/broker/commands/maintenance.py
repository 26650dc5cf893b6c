"""Maintenance: forward what is due, recover what was left behind, delete what has expired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...message.kept import ARCHIVE_SECONDS
from ..builder import builder
from ..command import Command
from ..keys import queue_keys
from .finish import ARCHIVE_SIZE
from .once import once

BATCH = 100
"""Items of one script call at most; callers repeat until nothing is left."""

EFFORT = 60_000
"""How many entries of long lists one script call may look through: about a millisecond."""

ORPHAN_SECONDS = 90 * 86400
"""Notes of ids without a task are kept for 90 days ..."""

ORPHAN_SIZE = 10_000
"""... and ten thousand of them per queue."""

FOREIGN_GRACE = 30
"""Seconds that a lease of Go's may be over before somebody else takes its task: its clock may differ."""

_build_forward = builder("forward", limit=BATCH)
_build_recover = builder(
    "recover",
    "answer",
    limit=BATCH,
    effort_limit=EFFORT,
    foreign_grace=FOREIGN_GRACE,
    archive_seconds=ARCHIVE_SECONDS,
    archive_size=ARCHIVE_SIZE,
)
_build_expire = builder(
    "expire",
    limit=BATCH,
    archive_seconds=ARCHIVE_SECONDS,
    orphan_seconds=ORPHAN_SECONDS,
    orphan_size=ORPHAN_SIZE,
)


@dataclass(frozen=True, slots=True)
class Forwarded:
    """How many tasks were looked at and moved, when the next is due (Unix seconds, or None), and the server's time."""

    moved: int
    next_due_at: float | None
    server_time: float


def forward(queue: str) -> Command[Forwarded]:
    """Move what is due from scheduled and retry to pending (or to its aggregation group)."""
    return _build_forward(queue_keys(queue), _forwarded)


def _forwarded(reply: list[Any]) -> Forwarded:
    moved, next_due_at, time = reply
    return Forwarded(moved, float(next_due_at) if next_due_at else None, float(time))


def recover(queue: str) -> Command[list[str]]:
    """Give back tasks whose lease has ended; the reply lists their ids. Repeat until there are none.

    Those that somebody has cancelled are archived, and not in the list.
    """
    return once(
        _build_recover,
        queue_keys(queue),
        lambda reply: [item.decode("utf-8", "surrogateescape") for item in reply],
    )


def expire(queue: str) -> Command[int]:
    """Delete completed and archived tasks whose retention has passed, and old notes of ids without a task."""
    return _build_expire(queue_keys(queue), int)

"""Which jobs of this process somebody has cancelled: a set of their numbers, empty nearly always."""

from __future__ import annotations

from ..pipe.shared_marks import RING

MOST = 100
"""Numbers that are remembered before those are forgotten whose jobs must have ended."""


def note(cancelled: set[int], number: int) -> None:
    """Remember that a job is cancelled, before anything is raised in it: whoever looks after this sees it.

    Args:
        cancelled: the set.
        number: of the job. Numbers only grow, and a child has at most `RING` jobs.
    """
    if len(cancelled) >= MOST:
        for old in [one for one in cancelled if one < number - RING]:
            cancelled.discard(old)
    cancelled.add(number)

"""How long a task is kept after it has failed: the option `failure_retention`, as its message brings it (pure).

Asynq keeps all of them for 90 days, and has no field for anything else. What is archived stands in a sorted set by the second in
which it was, and whoever archives a task (Go's workers, too) deletes those that stand there with a time 90 days ago. So a task
that is to be kept for an hour is entered with the time of 90 days ago but an hour: no program has to know of it to delete it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

FAILURE_RETENTION_HEADER = "taskflow-failure-retention"
"""The header that brings the option, in whole seconds."""

ARCHIVE_SECONDS = 90 * 86400
"""As in Asynq: how long archived tasks are kept that say nothing else."""

_LONGEST = 100 * 366 * 86400


def failure_retention(headers: Mapping[str, str]) -> int | None:
    """Seconds for which a task is kept when it has failed; None: its message does not say, or says what is no such number.

    Args:
        headers: the message's.
    """
    text = headers.get(FAILURE_RETENTION_HEADER) if headers else None
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        return None
    return math.ceil(seconds) if 0 <= seconds <= _LONGEST else None


def archived_at(score: float, headers: Mapping[str, str], last_failed_at: int) -> float:
    """When a task was archived, in Unix seconds.

    Args:
        score: under which it stands among the archived ones.
        headers: its message's.
        last_failed_at: what its message says of when it failed: who archives by Asynq's rule although there is such a header
            (Go, or an order by hand) leaves no score that fits the two.
    """
    seconds = failure_retention(headers)
    if seconds is None:
        return score
    entered_at = score + ARCHIVE_SECONDS - seconds
    return entered_at if abs(entered_at - last_failed_at) <= _CLOCKS else score


_CLOCKS = 300
"""Seconds by which the clocks of a worker and of the server may differ."""

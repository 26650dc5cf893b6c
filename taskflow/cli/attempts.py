"""The attempts at a task that failed, as `taskflow task inspect` shows them (pure)."""

from __future__ import annotations

from collections.abc import Iterator

from ..attempts import MOST_ATTEMPTS, FailedAttempt
from ..inspector import TaskInfo
from .output import clean, stamp


def attempt_lines(found: TaskInfo) -> Iterator[str]:
    """Lines to be printed below what else is known of a task: the oldest attempt first, the newest just above the prompt.

    Args:
        found: the task.
    """
    attempts = found.attempts
    if not attempts:
        return
    kept = f", the last {MOST_ATTEMPTS}" if len(attempts) >= MOST_ATTEMPTS else ""
    yield ""
    yield f"Failed attempts{kept} (the newest is the last)"
    for attempt, later in zip(attempts, [*attempts[1:], None], strict=True):
        yield ""
        yield clean(_head(attempt))
        yield f"  {clean(_what(attempt))}"
        if attempt.traceback and later is not None and later.traceback == attempt.traceback:
            yield "  (the traceback is that of the next attempt)"
        elif attempt.traceback:
            yield from (f"  {clean(line)}" for line in attempt.traceback.split("\n"))


def _head(attempt: FailedAttempt) -> str:
    if attempt.seconds is None:
        ran = "was not run" if not attempt.worker else "no verdict"
    else:
        ran = f"failed after {attempt.seconds:.3f} s"
    return ", ".join(filter(None, (stamp(attempt.at), ran, attempt.worker and f"worker {attempt.worker}")))


def _what(attempt: FailedAttempt) -> str:
    return f"{attempt.kind}: {attempt.text}" if attempt.text else attempt.kind

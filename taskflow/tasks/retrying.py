"""`self.retry(...)`: what ends the attempt, in our words and in Celery's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ..errors import MaxRetriesExceeded, Retry, UnknownOption

_LAST = "_taskflow_last"
"""In an exception's `__dict__`: the attempt that is over with it, whatever the policy says of its kind."""


def asked(
    task_id: str,
    name: str,
    retried: int,
    max_retries: int,
    reason: str,
    *,
    delay: float | timedelta | None,
    exc: BaseException | None,
    countdown: float | timedelta | None,
    eta: datetime | None,
    most: int | None,
) -> Retry:
    """The exception that asks for another attempt.

    Args:
        task_id: the running task's.
        name: its name.
        retried: how many attempts failed before this one.
        max_retries: how many retries it may have, by its options.
        reason: kept as the task's error, where no `exc` is given.
        delay: until the next attempt.
        exc: what went wrong.
        countdown: Celery's word for `delay`.
        eta: when the next attempt is to be.
        most: how many retries it may have, by this call.

    Raises:
        BaseException: `exc`, or `MaxRetriesExceeded` without one and without a reason: there is no retry left.
    """
    if sum(one is not None for one in (delay, countdown, eta)) > 1:
        raise TypeError("retry() takes one of delay, countdown and eta")
    if retried >= (max_retries if most is None else most) and (exc is not None or not reason):
        last = exc or MaxRetriesExceeded(
            f"task {name!r} has had all its retries ({max_retries if most is None else most})"
        )
        vars(last)[_LAST] = (task_id, retried)
        raise last
    seconds = countdown if delay is None else delay
    if eta is not None:
        if eta.utcoffset() is None:
            raise TypeError(
                "retry(eta=...) takes a moment with a time zone, as in datetime.now(timezone.utc)"
            )
        seconds = max(0.0, (eta - datetime.now(UTC)).total_seconds())
    return Retry(reason, delay=seconds, exc=exc, max_retries=most)


def refuse(name: str, given: dict[str, Any]) -> None:
    """Say why another attempt cannot be one with other arguments or options.

    Raises:
        UnknownOption: it cannot.
    """
    if given:
        words = ", ".join(f"{word}=" for word in given)
        raise UnknownOption(
            f"retry() takes no {words}: another attempt at {name!r} has its arguments, queue and options. To run it with others, "
            "enqueue it: apply_async(args, kwargs, ...), and return"
        )


def is_last(error: BaseException, task_id: str, retried: int) -> bool:
    """Whether `retry()` has raised this because no retry is left."""
    return bool(getattr(error, "__dict__", {}).get(_LAST) == (task_id, retried))

"""From a call to its message (pure).

The rules are Asynq's (`client.go:composeOptions`), but for rounding: Asynq cuts fractions of a second off, we
round up, so that nothing runs or ends early.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from taskflow.message.task_message import TaskMessage, unique_key
from taskflow.options.layers import TaskOptions
from taskflow.options.option import Way
from taskflow.options.table import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT, KEPT_RESULT_SECONDS, OPTIONS
from taskflow.partitions import DEFAULT_QUEUE

_HEADERS = [(option.name, option.key) for option in OPTIONS if option.way is Way.HEADER]
"""The options that travel in headers, with these."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a task may run: now, `delay` seconds from now, or at `process_at` (Unix seconds); and until when it may start, if that
    matters: in `expires` seconds, or until `expires_at`.

    What is in seconds from now stays so until the script that enqueues it adds it to the server's clock.
    """

    delay: float | None = None
    process_at: float | None = None
    expires: float | None = None
    expires_at: float | None = None


_NOW = Schedule()
_NO_TIMES = (None, None, None, None)


def build_message(
    name: str,
    payload: bytes | None,
    merged: TaskOptions,
    *,
    new_id: Callable[[], str],
) -> tuple[TaskMessage, Schedule]:
    """Make the message of a call.

    Args:
        name: the task's name.
        payload: its encoded arguments.
        merged: the options of all layers.
        new_id: makes an id when none is given.

    Returns:
        The message, and when it may run. The lock's time is `merged.unique`.

    Example:
        >>> message, when = build_message("noop", None, TaskOptions(delay=9), new_id=lambda: "x")
        >>> message.timeout, when.delay
        (1800, 9)
    """
    queue = merged.queue or DEFAULT_QUEUE
    deadline = merged.deadline or 0
    headers = dict(merged.headers) if merged.headers else {}
    for option, header in _HEADERS:
        value = getattr(merged, option)
        if value is not None and value != "":  # which takes back what is given for all tasks
            headers[header] = str(value).removesuffix(".0")
    message = TaskMessage(
        type=name,
        payload=payload,
        id=merged.id or new_id(),
        queue=queue,
        max_retries=DEFAULT_MAX_RETRIES if merged.max_retries is None else merged.max_retries,
        timeout=_timeout(merged, deadline),
        deadline=deadline,
        unique_key=unique_key(queue, name, payload) if merged.unique else "",
        retention=merged.retention or (KEPT_RESULT_SECONDS if merged.ignore_result is False else 0),
        group_key=merged.group or "",
        headers=headers,
    )
    times = (merged.delay, merged.eta, merged.expires, merged.expires_at)
    return message, _NOW if times == _NO_TIMES else Schedule(*times)


def _timeout(merged: TaskOptions, deadline: int) -> int:
    """Choose the timeout as Asynq does: a message must have a timeout or a deadline."""
    if merged.timeout is not None:
        return merged.timeout
    if deadline:
        return 0
    # Half an hour would end what was explicitly given longer, and a shorter hard limit is the timeout for Go.
    return ceil(merged.hard_timeout) if merged.hard_timeout is not None else DEFAULT_TIMEOUT

"""What becomes of a queue's aggregation groups: `app.aggregate` (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Any

from ..errors import ConfigurationError, InvalidArguments, InvalidOption
from ..message.task_message import TaskMessage
from .task import BaseTask


@dataclass(frozen=True, slots=True)
class Aggregation:
    """A rule. `template` is the message of the task that takes a group's place, without arguments; times are whole
    seconds.
    """

    queue: str
    template: TaskMessage
    grace: int
    max_delay: int
    max_size: int


def aggregation(
    into: BaseTask[Any, Any],
    queue: str,
    *,
    grace: float | timedelta,
    max_delay: float | timedelta,
    max_size: int,
) -> Aggregation:
    """Check a rule; see `TaskFlow.aggregate`."""
    try:
        into._decode(b'{"group":"g","items":[]}')
    except InvalidArguments as error:
        raise ConfigurationError(
            f"task {into.name!r} cannot take groups: it needs the parameters group: str and items: list ({error})"
        ) from None
    if isinstance(max_size, bool) or not isinstance(max_size, int) or max_size < 0:
        raise InvalidOption("max_size is a number of tasks, from 0 (no limit)")
    return Aggregation(
        queue=queue,
        template=into._template(queue),
        grace=_seconds("grace", grace, least=1),
        max_delay=_seconds("max_delay", max_delay, least=0),
        max_size=max_size,
    )


def _seconds(name: str, value: float | timedelta, *, least: int) -> int:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < 10**9:
        raise InvalidOption(f"{name} is in seconds, from {least}")
    return ceil(value)

"""The checks of options' values: a function for each kind (pure). `table.py` says which option is of which.

Each takes the option's name, for the error, and the value as given, and returns the value as it is kept:
durations in seconds, moments in Unix seconds, both rounded up where the message holds whole ones.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from taskflow.errors import InvalidOption
from taskflow.message.compression import METHODS, require
from taskflow.message.content import MSGPACK
from taskflow.message.ids import check_group_name, check_headers, check_queue_name, check_task_id
from taskflow.partitions import check_own_queue

RESERVED_HEADERS = "taskflow-"
"""Headers that begin so are ours."""

_MAX_SECONDS = 100 * 366 * 86400  # Go's durations end at 292 years
_MAX_INT32 = 2**31 - 1


def seconds(name: str, value: object) -> float:
    """A duration."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidOption(f"option `{name}` takes seconds or a timedelta, not {_type_name(value)}")
    if value > _MAX_SECONDS:
        raise InvalidOption(f"option `{name}` is over the limit of 100 years; give seconds, not milliseconds")
    if not value >= 0:  # nor is NaN
        raise InvalidOption(f"option `{name}` must be 0 seconds or more")
    return float(value)


def positive_seconds(name: str, value: object) -> float:
    """A duration that is not 0."""
    duration = seconds(name, value)
    if duration == 0:
        raise InvalidOption(f"option `{name}` must be more than 0 seconds; leave it out for the default")
    return duration


def whole_seconds(name: str, value: object) -> int:
    """A duration that a message holds."""
    return ceil(seconds(name, value))


def positive_whole_seconds(name: str, value: object) -> int:
    """A duration that a message holds, and that is not 0 there: that would be "none"."""
    return ceil(positive_seconds(name, value))


def lock_seconds(name: str, value: object) -> int:
    """How long a lock holds."""
    duration = seconds(name, value)
    if duration < 1:
        raise InvalidOption(f"option `{name}` is how long its lock holds: 1 second or more, or left out")
    return ceil(duration)


def moment(name: str, value: object) -> float:
    """A moment."""
    if not isinstance(value, datetime):
        hint = "; for seconds from now use `delay` or `expires`"
        raise InvalidOption(f"option `{name}` takes a datetime, not {_type_name(value)}{hint}")
    if value.utcoffset() is None:
        raise InvalidOption(
            f"option `{name}` has no time zone; give it one, as in datetime.now(timezone.utc)"
        )
    return value.timestamp()


def whole_moment(name: str, value: object) -> int:
    """A moment that a message holds."""
    at = ceil(moment(name, value))
    if at <= 0:  # 0 is "none" in a message
        raise InvalidOption(f"option `{name}` lies before 1970")
    return at


def duration_or_moment(name: str, value: object) -> float:
    """A duration, or a moment where a datetime is given."""
    return moment(name, value) if isinstance(value, datetime) else seconds(name, value)


def count(name: str, value: object) -> int:
    """A number of retries."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidOption(f"option `{name}` takes a whole number, not {_type_name(value)}")
    if not 0 <= value <= _MAX_INT32:
        raise InvalidOption(f"option `{name}` must be between 0 (no retry) and {_MAX_INT32:,}")
    return value


def headers(name: str, value: Any) -> dict[str, str]:
    """Text by name."""
    checked = check_headers(value)
    for header in checked:
        if header.lower().startswith(RESERVED_HEADERS):
            raise InvalidOption(
                f"header {header!r} begins with {RESERVED_HEADERS!r}, which is reserved; rename it"
            )
    return checked


def yes_or_no(name: str, value: object) -> bool:
    """Yes or no."""
    if not isinstance(value, bool):
        raise InvalidOption(f"option `{name}` takes True or False, not {_type_name(value)}")
    return value


def durability(name: str, value: object) -> bool | str:
    """Yes, no, or yes and fail otherwise."""
    if not (isinstance(value, bool) or value == "strict"):
        raise InvalidOption(f'option `{name}` takes True, False or "strict"')
    return value


def log_level(name: str, value: object) -> int:
    """A level of `logging`, by its name or its number; False is none, as 0."""
    if value is False:
        return 0
    levels = logging.getLevelNamesMapping()
    if isinstance(value, str) and value.upper() in levels:
        return max(levels[value.upper()], 1)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise InvalidOption(f'option `{name}` takes a level of `logging`, such as "INFO", or False')


def queue(name: str, value: Any) -> str:
    """A queue's name, of a whole one: not that of a partition."""
    return check_own_queue(check_queue_name(value))


def task_id(name: str, value: Any) -> str:
    """A task's id."""
    return check_task_id(value)


def group(name: str, value: Any) -> str:
    """An aggregation group's name."""
    return check_group_name(value)


def compression(name: str, value: Any) -> str:
    """How large arguments and results are compressed; "": not at all."""
    if value is False or value == "none":
        return ""
    if value not in METHODS:
        raise InvalidOption(
            f'option `{name}` is one of {", ".join(map(repr, METHODS))}, or "none", not {value!a}'
            if isinstance(value, str)
            else f"option `{name}` is a text, not {_type_name(value)}"
        )
    require(value)
    return str(value)


_POOLS = {name: name for name in ("threads", "processes", "async")} | {
    "thread": "threads",
    "process": "processes",
}


def pool(name: str, value: Any) -> str:
    """Where a task runs."""
    if isinstance(value, str) and value in _POOLS:
        return _POOLS[value]
    raise InvalidOption(
        f'option `{name}` is "threads", "processes" or "async", not {value!r}; `-P solo` is an option of the worker'
        if value == "solo"
        else f'option `{name}` is "threads", "processes" or "async", not {value!r}'
    )


def serializer(name: str, value: Any) -> str:
    """The content type of the arguments; "": JSON."""
    if value == "json":
        return ""
    if value == "msgpack":
        return MSGPACK
    hint = (
        "; what only pickle can write travels by app.submit(...), for apps with signing keys"
        if value in ("pickle", "cloudpickle")
        else ""
    )
    raise InvalidOption(f'option `{name}` is "json" or "msgpack"{hint}')


def _type_name(value: object) -> str:
    return type(value).__name__

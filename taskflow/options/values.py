"""The checks of options' values: a function for each kind, and the table of which option is of which (pure).

Each takes the option's name, for the error, and the value as given, and returns the value as it is kept:
durations in seconds, moments in Unix seconds, both rounded up where the message holds whole ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from taskflow.errors import InvalidOption
from taskflow.message.ids import check_group_name, check_headers, check_queue_name, check_task_id
from taskflow.partitions import check_own_queue

RESERVED_HEADERS = "taskflow-"
"""Headers that begin so are ours."""

_MAX_SECONDS = 100 * 366 * 86400  # Go's durations end at 292 years
_MAX_INT32 = 2**31 - 1


def _seconds(name: str, value: object) -> float:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidOption(f"option `{name}` takes seconds or a timedelta, not {_type_name(value)}")
    if value > _MAX_SECONDS:
        raise InvalidOption(f"option `{name}` is over the limit of 100 years; give seconds, not milliseconds")
    if not value >= 0:  # nor is NaN
        raise InvalidOption(f"option `{name}` must be 0 seconds or more")
    return float(value)


def _positive_seconds(name: str, value: object) -> float:
    seconds = _seconds(name, value)
    if seconds == 0:
        raise InvalidOption(f"option `{name}` must be more than 0 seconds; leave it out for the default")
    return seconds


def _whole_seconds(name: str, value: object) -> int:
    return ceil(_seconds(name, value))


def _positive_whole_seconds(name: str, value: object) -> int:
    return ceil(_positive_seconds(name, value))


def _lock_seconds(name: str, value: object) -> int:
    seconds = _seconds(name, value)
    if seconds < 1:
        raise InvalidOption(f"option `{name}` is how long its lock holds: 1 second or more, or left out")
    return ceil(seconds)


def _moment(name: str, value: object) -> float:
    if not isinstance(value, datetime):
        hint = "; for seconds from now use `delay` or `expires`"
        raise InvalidOption(f"option `{name}` takes a datetime, not {_type_name(value)}{hint}")
    if value.utcoffset() is None:
        raise InvalidOption(
            f"option `{name}` has no time zone; give it one, as in datetime.now(timezone.utc)"
        )
    return value.timestamp()


def _deadline(name: str, value: object) -> int:
    moment = ceil(_moment(name, value))
    if moment <= 0:  # 0 is "no deadline" in a message
        raise InvalidOption(f"option `{name}` lies before 1970")
    return moment


def _expires(name: str, value: object) -> float:
    return _moment(name, value) if isinstance(value, datetime) else _seconds(name, value)


def _retries(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidOption(f"option `{name}` takes a whole number, not {_type_name(value)}")
    if not 0 <= value <= _MAX_INT32:
        raise InvalidOption(f"option `{name}` must be between 0 (no retry) and {_MAX_INT32:,}")
    return value


def _headers(name: str, value: Any) -> dict[str, str]:
    headers = check_headers(value)
    for header in headers:
        if header.lower().startswith(RESERVED_HEADERS):
            raise InvalidOption(
                f"header {header!r} begins with {RESERVED_HEADERS!r}, which is reserved; rename it"
            )
    return headers


def _durable(name: str, value: object) -> bool | str:
    if not (isinstance(value, bool) or value == "strict"):
        raise InvalidOption(f'option `{name}` takes True, False or "strict"')
    return value


def _type_name(value: object) -> str:
    return type(value).__name__


PARSERS: Mapping[str, Callable[[str, Any], Any]] = {
    "queue": lambda _, value: check_own_queue(check_queue_name(value)),
    "delay": _seconds,
    "eta": _moment,
    "timeout": _positive_whole_seconds,
    "hard_timeout": _positive_seconds,
    "deadline": _deadline,
    "max_retries": _retries,
    "retention": _whole_seconds,
    "unique": _lock_seconds,
    "id": lambda _, value: check_task_id(value),
    "headers": _headers,
    "group": lambda _, value: check_group_name(value),
    "enqueue_timeout": _positive_seconds,
    "durable": _durable,
    "countdown": _seconds,
    "expires": _expires,
    "task_id": lambda _, value: check_task_id(value),
    "soft_time_limit": _positive_whole_seconds,
    "time_limit": _positive_seconds,
}

"""The options as type checkers see them, spelt out since they need that; a test holds them to the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, TypedDict

_ExceptionTypes = tuple[type[BaseException], ...]
_Ask = Callable[[Any], Any]


class Defaults(TypedDict, total=False):
    """The options that all tasks of an app may share, for type checkers. The last two are Celery's names.

    A number is seconds. None is as if the option was not given. What each does: docs/options.md.
    """

    queue: str | None
    timeout: float | timedelta | None
    hard_timeout: float | timedelta | None
    max_retries: int | None
    retention: float | timedelta | None
    unique: float | timedelta | None
    headers: Mapping[str, str] | None
    enqueue_timeout: float | timedelta | None
    durable: bool | Literal["strict"] | None
    soft_time_limit: float | timedelta | None
    time_limit: float | timedelta | None


class Options(Defaults, total=False):
    """What `.options(...)` and `apply_async` take, for type checkers: `**options: Unpack[Options]`.

    Besides those in `Defaults`, what is for one call; the last three are Celery's names. What each does: docs/options.md.
    """

    delay: float | timedelta | None
    eta: datetime | None
    deadline: datetime | None
    id: str | None
    group: str | None
    countdown: float | timedelta | None
    expires: float | timedelta | datetime | None
    task_id: str | None


class Declaration(Defaults, total=False):
    """What `@app.task(...)` takes besides `bind`, for type checkers. A number is seconds. What each does: docs/options.md.

    Besides those in `Defaults`, what is for a task; then the retry policy, in tenacity's words or in Celery's.
    """

    name: str | None
    delay: float | timedelta | None
    group: str | None

    wait: _Ask | None
    stop: _Ask | None
    retry: _Ask | None
    autoretry_for: _ExceptionTypes
    dont_autoretry_for: _ExceptionTypes
    retry_backoff: bool | float
    retry_backoff_max: float
    retry_jitter: bool
    default_retry_delay: float | timedelta | None

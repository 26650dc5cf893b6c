"""The options as type checkers see them, spelt out since they need that; a test holds them to the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, TypedDict

_ExceptionTypes = tuple[type[BaseException], ...]
_Ask = Callable[[Any], Any]


class Anywhere(TypedDict, total=False):
    """The options that may be given to an app, a task and a call, for type checkers. The last two are Celery's names.

    A number is seconds. None is as if the option was not given. What each does: docs/options.md.
    """

    queue: str | None
    timeout: float | timedelta | None
    hard_timeout: float | timedelta | None
    max_retries: int | None
    retention: float | timedelta | None
    failure_retention: float | timedelta | None
    unique: float | timedelta | None
    headers: Mapping[str, str] | None
    enqueue_timeout: float | timedelta | None
    durable: bool | Literal["strict"] | None
    outbox: bool | None
    compression: Literal["zlib", "zstd", "none"] | None
    soft_time_limit: float | timedelta | None
    time_limit: float | timedelta | None


class Defaults(Anywhere, total=False):
    """The options that all tasks of an app may share, for type checkers: those, and what is not for a call."""

    log_lines: str | int | Literal[False] | None


class Options(Anywhere, total=False):
    """What `.options(...)` and `apply_async` take, for type checkers: `**options: Unpack[Options]`.

    Besides those in `Anywhere`, what is for one call; the last three are Celery's names. What each does: docs/options.md.
    """

    delay: float | timedelta | None
    eta: datetime | None
    deadline: datetime | None
    id: str | None
    group: str | None
    countdown: float | timedelta | None
    expires: float | timedelta | datetime | None
    ignore_result: bool | None
    task_id: str | None


class Declaration(Defaults, total=False):
    """What `@app.task(...)` takes besides `bind`, for type checkers. A number is seconds. What each does: docs/options.md.

    Besides those in `Defaults`, what is for a task; then the retry policy, in tenacity's words or in Celery's; the
    last are what Celery asks for and holds in any case.
    """

    name: str | None
    delay: float | timedelta | None
    expires: float | timedelta | datetime | None
    ignore_result: bool | None
    group: str | None
    serializer: Literal["json", "msgpack"] | None
    pool: Literal["threads", "thread", "processes", "process", "async"] | None
    throws: type[BaseException] | _ExceptionTypes

    wait: _Ask | None
    stop: _Ask | None
    retry: _Ask | None
    autoretry_for: _ExceptionTypes
    dont_autoretry_for: _ExceptionTypes
    retry_backoff: bool | float
    retry_backoff_max: float
    retry_jitter: bool
    default_retry_delay: float | timedelta | None
    retry_kwargs: Mapping[str, Any] | None

    acks_late: Literal[True] | None
    reject_on_worker_lost: Literal[True] | None
    acks_on_failure_or_timeout: Literal[True] | None
    track_started: Literal[True] | None
    store_errors_even_if_ignored: Literal[True] | None
    pydantic: Literal[True] | None
    typing: Literal[True] | None

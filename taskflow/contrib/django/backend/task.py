"""`TaskFlowTask`: a task of Django's with options of taskflow's. `@task(max_retries=5)` makes it where the backend is ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

from django.tasks import Task

from . import allowed

T = TypeVar("T")

_ExceptionTypes = tuple[type[BaseException], ...]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TaskFlowTask(Task):  # type: ignore[misc]  # Django has no types
    """What `@task` makes with this backend: Django's `Task`, and options.

    A number is seconds; None: what the backend's `OPTIONS` say. What each does: docs/options.md. Those from `log_lines` on are
    for all calls alike, the others may be given to `using(...)`, too.

    Raises:
        UnknownOption: there is no such option (a `TypeError`).
        InvalidOption: a value cannot be.
    """

    timeout: float | timedelta | None = None
    hard_timeout: float | timedelta | None = None
    max_retries: int | None = None
    retention: float | timedelta | None = None
    failure_retention: float | timedelta | None = None
    unique: float | timedelta | None = None
    expires: float | timedelta | datetime | None = None
    headers: Mapping[str, str] | None = None
    enqueue_timeout: float | timedelta | None = None
    durable: bool | Literal["strict"] | None = None
    compression: Literal["zlib", "zstd", "none"] | None = None

    log_lines: str | int | None = None
    pool: Literal["threads", "processes", "async"] | None = None
    throws: type[BaseException] | _ExceptionTypes | None = None
    wait: Callable[[Any], Any] | None = None
    stop: Callable[[Any], Any] | None = None
    retry: Callable[[Any], Any] | None = None
    autoretry_for: _ExceptionTypes | None = None
    dont_autoretry_for: _ExceptionTypes | None = None
    retry_backoff: bool | float | None = None
    retry_backoff_max: float | None = None
    retry_jitter: bool | None = None
    default_retry_delay: float | timedelta | None = None

    def __new__(cls, **given: Any) -> TaskFlowTask:
        """Say of a name that there is not what to write instead."""
        allowed.check(given, {one.name for one in fields(cls)}, "@task(...)")
        return object.__new__(cls)

    def __repr__(self) -> str:
        """As Django's, with those options that are given."""
        shown = {one.name: getattr(self, one.name) for one in fields(self)}
        words = (
            f"{name}={value!r}"
            for name, value in shown.items()
            if name not in allowed.OPTIONS or value is not None
        )
        return f"{type(self).__name__}({', '.join(words)})"

    def using(
        self,
        *,
        priority: int | None = None,
        queue_name: str | None = None,
        run_after: datetime | None = None,
        backend: str | None = None,
        **options: Any,
    ) -> TaskFlowTask:
        """The same task with other values, as Django's `using`, and with other options.

        Args:
            priority: as Django has it; 0, since a queue has no order of priorities.
            queue_name: the queue.
            run_after: from when on it may run.
            backend: another backend, by its alias.
            **options: as the fields up to `compression`.

        Raises:
            UnknownOption: there is no such option, or it is not for a call.
            InvalidOption: a value cannot be.

        Example:
            >>> send.using(timeout=60, unique=3600).enqueue(17)          # doctest: +SKIP
        """
        allowed.check(options, allowed.CALLS, "using(...)")
        given = {"priority": priority, "queue_name": queue_name, "run_after": run_after, "backend": backend}
        return replace(
            self, **{name: value for name, value in {**given, **options}.items() if value is not None}
        )

    @property
    def options(self) -> dict[str, Any]:
        """The options that it has, by name."""
        found = {name: getattr(self, name) for name in allowed.OPTIONS}
        return {name: value for name, value in found.items() if value is not None}


def options(**given: Any) -> Callable[[T], T]:
    """Give a task of Django's options: `@options(max_retries=5)` above `@task`.

    With Django 6.0, whose `@task` takes none; and for code that also runs with another backend, as with Django's own in tests,
    where they are left out.

    Args:
        **given: as the fields of `TaskFlowTask`.

    Raises:
        UnknownOption: there is no such option.
        InvalidOption: a value cannot be.

    Example:
        >>> @options(max_retries=5, timeout=30)                          # doctest: +SKIP
        ... @task
        ... def send(order: int) -> None: ...
    """
    allowed.check(given, allowed.OPTIONS, "@options(...)")

    def give(task: T) -> T:
        if not isinstance(task, Task):
            raise TypeError("@options(...) stands above @task, and has its task: swap the two lines")
        if not isinstance(task, TaskFlowTask):
            return task
        made: Any = replace(task, **given)
        made.get_backend().declare(made)
        return made  # type: ignore[no-any-return]

    return give

"""Layers of options: what one place says, and how several are laid over one another (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, Literal, TypedDict

from taskflow.errors import InvalidOption, UnknownOption
from taskflow.message.ids import check_headers
from taskflow.options.values import PARSERS


class Defaults(TypedDict, total=False):
    """The options that all tasks of an app may share, for type checkers. The last two are Celery's names.

    A number is seconds. None is as if the option was not given.
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

    Besides those in `Defaults`, what is for one call; the last three are Celery's names.
    """

    delay: float | timedelta | None
    eta: datetime | None
    deadline: datetime | None
    id: str | None
    group: str | None
    countdown: float | timedelta | None
    expires: float | timedelta | datetime | None
    task_id: str | None


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """One layer of options, or several merged. None is "not given".

    Args:
        queue: the queue's name.
        delay: seconds from now until it may run. Shares a slot with `eta`: one of them at most is set.
        eta: Unix seconds from which it may run.
        timeout: whole seconds that a run may take; then `TaskTimeout` is raised in it.
        hard_timeout: seconds after which the worker kills the process that runs it.
        deadline: Unix seconds at which a run is ended, as by a timeout (Asynq's).
        expires: seconds from now until it must have started, or else it is never run.
        expires_at: the same in Unix seconds. Shares a slot with `expires`.
        max_retries: how many retries it may have.
        retention: whole seconds that it is kept after it succeeded.
        unique: whole seconds that its lock keeps an equal task out.
        id: the task's id.
        headers: text by name; layers add to one another.
        group: the aggregation group it waits in.
        enqueue_timeout: seconds that enqueueing may take.
        durable: whether enqueueing waits until a replica has the task too; "strict": or fails.
    """

    queue: str | None = None
    delay: float | None = None
    eta: float | None = None
    timeout: int | None = None
    hard_timeout: float | None = None
    deadline: int | None = None
    expires: float | None = None
    expires_at: float | None = None
    max_retries: int | None = None
    retention: int | None = None
    unique: int | None = None
    id: str | None = None
    headers: Mapping[str, str] | None = None
    group: str | None = None
    enqueue_timeout: float | None = None
    durable: bool | str | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any], *, also_known: Iterable[str] = ()) -> TaskOptions:
        """Check the options that one place gives.

        Args:
            options: as in `Options`; an option that is None counts as not given.
            also_known: what else may be written there, to be named when an option is misspelt.

        Returns:
            One layer.

        Raises:
            UnknownOption: there is no such option; a similar one is named.
            InvalidOption: a value cannot be, or two options contradict each other.

        Example:
            >>> TaskOptions.of({"countdown": 60, "queue": "slow"}).delay
            60.0
        """
        values: dict[str, Any] = {}
        given: dict[str, str] = {}
        for name, value in options.items():
            parse = PARSERS.get(name)
            if parse is None:
                raise UnknownOption(_unknown(name, [*PARSERS, *also_known]))
            if value is None:
                continue
            field = _field(name, value)
            slot = _SLOTS.get(field, field)
            if slot in given:
                raise InvalidOption(
                    f"options `{given[slot]}` and `{name}` contradict each other; give one of them"
                )
            given[slot] = name
            values[field] = parse(name, value)
        return cls(**values)


def merge(*layers: TaskOptions) -> TaskOptions:
    """Lay options over one another.

    Args:
        layers: from the most general to the most particular: what a later one gives wins. Headers add up.

    Returns:
        One layer.

    Raises:
        InvalidOption: together they make no sense.

    Example:
        >>> merge(TaskOptions(queue="slow", eta=5.0), TaskOptions(delay=60.0))  # doctest: +ELLIPSIS
        TaskOptions(queue='slow', delay=60.0, eta=None, ...)
    """
    values: dict[str, Any] = {}
    for layer in layers:
        for name in _FIELDS:
            value = getattr(layer, name)
            if value is None:
                continue
            for rival in _RIVALS.get(name, ()):
                values.pop(rival, None)
            values[name] = {**values.get(name, {}), **value} if name == "headers" else value
    if "headers" in values:
        check_headers(values["headers"])  # many small layers may be too much together
    merged = TaskOptions(**values)
    if merged.hard_timeout and merged.timeout and merged.hard_timeout < merged.timeout:
        raise InvalidOption(
            f"hard_timeout ({merged.hard_timeout} s) is below timeout ({merged.timeout} s), which it would "
            "forestall; raise the one or lower the other"
        )
    if merged.group and (merged.expires is not None or merged.expires_at is not None):
        raise InvalidOption(
            "options `group` and `expires` contradict each other: tasks of a group are not started, they are joined into one; "
            "leave one of them out"
        )
    return merged


def refuse_per_call(options: Mapping[str, object], whose: str, *, also: Iterable[str] = ()) -> None:
    """Refuse options that belong to one call where defaults for many are written.

    Args:
        options: what is written there.
        whose: whose defaults they are, for the error.
        also: what else makes no sense there.

    Raises:
        UnknownOption: with the place where the option belongs.
    """
    for name in (*_PER_CALL, *also):
        if options.get(name) is not None:
            raise UnknownOption(
                f"option `{name}` is for one call, not for {whose}: give it to .options({name}=...) or apply_async"
            )


_PER_CALL = ("id", "task_id", "eta", "countdown", "deadline", "expires")
_FIELDS = tuple(field.name for field in fields(TaskOptions))
_SLOTS = {"eta": "delay"}
_RIVALS = {"eta": ("delay",), "delay": ("eta",), "expires": ("expires_at",), "expires_at": ("expires",)}
_ALIASES = {
    "countdown": "delay",
    "task_id": "id",
    "soft_time_limit": "timeout",
    "time_limit": "hard_timeout",
}
_CELERY_ONLY = {
    "priority": "name several queues and give the worker weights: taskflow worker -Q high=6,low=1",
    "serializer": "arguments are always JSON",
    "compression": "arguments are always JSON",
    "routing_key": "use `queue`",
    "exchange": "use `queue`",
    "link": "enqueue what follows at the end of the task itself: follow_up.delay(...)",
    "link_error": (
        "a task that fails for good is archived; `taskflow task ls -q QUEUE --state archived` lists those, and "
        "AsyncResult.get() raises TaskFailed"
    ),
    "rate_limit": (
        "there are no rate limits; tasks on a queue of their own are bounded by its worker: taskflow worker -Q slow -c 2"
    ),
    "retry": "enqueueing is tried again until `enqueue_timeout`",
    "retry_policy": "enqueueing is tried again until `enqueue_timeout`",
    "ignore_result": "without `retention` no result is kept",
    "acks_late": "a task is always acknowledged after it has run",
}
"""What Celery's users write, and what does the same here. `tests/structure/test_hints.py` looks whether it exists."""


_NEARLY = 0.7
"""`retries` is near `max_retries`, `timelimit` near `time_limit`."""


def _field(name: str, value: object) -> str:
    """Find the field that an option fills."""
    if name == "expires" and isinstance(value, datetime):
        return "expires_at"
    return _ALIASES.get(name, name)


def _unknown(name: str, known: Iterable[str]) -> str:
    if name in _CELERY_ONLY:
        return f"there is no option `{name}`: {_CELERY_ONLY[name]}"
    near = get_close_matches(name, list(known), n=3, cutoff=_NEARLY)
    hint = " or ".join(f"`{word}`" for word in near)
    return f"there is no option `{name}`" + (
        f"; did you mean {hint}?" if near else f"; there are {', '.join(known)}"
    )

"""Layers of options: what one place says, and how several are laid over one another (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from operator import attrgetter
from typing import Any

from taskflow.errors import InvalidOption, UnknownOption
from taskflow.message.ids import check_headers
from taskflow.options.option import Option, Scope
from taskflow.options.refused import CELERYS, CONSTRUCTOR
from taskflow.options.table import (
    BY_NAME,
    BY_SPELLING,
    DEFAULT_ENQUEUE_TIMEOUT,
    FIELDS,
    OPTIONS,
)
from taskflow.partitions import DEFAULT_QUEUE


@dataclass(
    slots=True
)  # not frozen: with so many fields that costs two microseconds for each call with options
class TaskOptions:
    """One layer of options, or several merged: the values of the table's options, as they are kept. None is "not given".

    A value, never changed. Durations are in seconds, moments in Unix seconds; `expires_at` is what a datetime as `expires` says.
    A test holds the fields to the table.
    """

    queue: str | None = None
    delay: float | None = None
    eta: float | None = None
    expires: float | None = None
    expires_at: float | None = None
    timeout: int | None = None
    hard_timeout: float | None = None
    log_lines: int | None = None
    deadline: int | None = None
    max_retries: int | None = None
    retention: int | None = None
    ignore_result: bool | None = None
    failure_retention: int | None = None
    id: str | None = None
    unique: int | None = None
    headers: Mapping[str, str] | None = None
    group: str | None = None
    enqueue_timeout: float | None = None
    durable: bool | str | None = None
    outbox: bool | None = None
    serializer: str | None = None
    compression: str | None = None
    pool: str | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any], scope: Scope = Scope.CALL) -> TaskOptions:
        """Check the options that one place gives.

        Args:
            options: as in `Options`; an option that is None counts as not given.
            scope: which place it is.

        Returns:
            One layer.

        Raises:
            UnknownOption: there is no such option, and a similar one is named; or it has no place there.
            InvalidOption: a value cannot be, or two options contradict each other.

        Example:
            >>> TaskOptions.of({"countdown": 60, "queue": "slow"}).delay
            60.0
        """
        known = _KEPT[scope]
        values: dict[str, Any] = {}
        given: dict[str, str] = {}
        for name, value in options.items():
            option = known.get(name)
            if option is None:
                _refuse(name, value, scope)
                continue
            if value is None:
                continue
            for rival in (option.name, *option.rivals):
                if rival in given:
                    raise InvalidOption(
                        f"options `{given[rival]}` and `{name}` contradict each other; give one of them"
                    )
            given[option.name] = name
            assert option.parse is not None, "the others are in no layer"
            field = option.moment if option.moment and isinstance(value, datetime) else option.name
            values[field] = option.parse(name, value)
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
    values: dict[str, Any] = dict.fromkeys(FIELDS)
    for layer in layers:
        for name, value in zip(FIELDS, _values(layer), strict=True):
            if value is not None:
                for rival in _DISPLACED.get(name, ()) if value is not False else ():
                    values[rival] = None
                values[name] = {**(values[name] or {}), **value} if name in _ADD_UP else value
    merged = TaskOptions(**values)
    if merged.headers:
        check_headers(merged.headers)  # many small layers may be too much together
    if merged.hard_timeout and merged.timeout and merged.hard_timeout < merged.timeout:
        raise InvalidOption(
            f"hard_timeout ({merged.hard_timeout} s) is below timeout ({merged.timeout} s), which it would "
            "forestall; raise the one or lower the other"
        )
    for option in _REFUSING:
        if values[option.name] is not None:
            _refuse_together(option, values)
    return merged


def refuse_for_map(options: TaskOptions) -> None:
    """Refuse what one call alone can have where one set of options is for many.

    Raises:
        UnknownOption: with where it belongs.
    """
    for name in _NOT_FOR_MAP:
        if getattr(options, name) is not None:
            raise UnknownOption(
                f"option `{name}` is for one call, not for all calls of a map: make them one by one in app.batch(), "
                f"each with .options({name}=...)"
            )


BOTTOM = TaskOptions(queue=DEFAULT_QUEUE, enqueue_timeout=DEFAULT_ENQUEUE_TIMEOUT)
"""The layer below that of an app: what every call must have."""

_values = attrgetter(*FIELDS)
_NAMES = {
    scope: [name for name, option in BY_SPELLING.items() if option.is_for(name, scope)] for scope in Scope
}
_KEPT = {
    scope: {name: BY_SPELLING[name] for name in names if BY_SPELLING[name].fields}
    for scope, names in _NAMES.items()
}
"""What may be written in each scope and is part of a layer."""
_DISPLACED = {
    field: [other for one in (option.name, *option.rivals) for other in BY_NAME[one].fields if other != field]
    for option in OPTIONS
    for field in option.fields
    if option.rivals or option.moment
}
"""The fields that say the same as each, in another way."""
_ADD_UP = {option.name for option in OPTIONS if option.adds_up}
_REFUSING = [option for option in OPTIONS if option.refuses]
_NOT_FOR_MAP = [
    field
    for option in OPTIONS
    if Scope.CALL in option.scopes and Scope.MAP not in option.scopes
    for field in option.fields
]
_WHOSE = {Scope.APP: "every task of an app", Scope.TASK: "a task", Scope.CALL: "one call"}
_GIVEN = {Scope.TASK: "@app.task({}=...)", Scope.CALL: ".options({}=...) or apply_async"}
_NEARLY = 0.7
"""`retries` is near `max_retries`, `timelimit` near `time_limit`."""


def _refuse_together(option: Option, values: Mapping[str, Any]) -> None:
    for other, why in option.refuses.items():
        if any(values[field] is not None for field in BY_NAME[other].fields):
            raise InvalidOption(
                f"options `{option.name}` and `{other}` contradict each other: {why}; leave one of them out"
            )


def _refuse(name: str, value: object, scope: Scope) -> None:
    """Say what is wrong with an option that this place does not take. What has its place elsewhere may be None here."""
    option = BY_SPELLING.get(name)
    if value is None and name in CELERYS:
        return  # who wraps Celery's apply_async hands all its parameters on
    if option is None or (name in CELERYS and scope is Scope.CALL):
        raise UnknownOption(_unknown(name, scope))
    if value is not None and option.always is not None:
        if value != option.always:
            raise InvalidOption(
                f"option `{name}` cannot be {value!r}, only {option.always!r}, which holds in any case: {option.doc}"
            )
        return
    if value is not None:
        home = Scope.CALL if option.is_for(name, Scope.CALL) else Scope.TASK
        raise UnknownOption(
            f"option `{name}` is for {_WHOSE[home]}, not for {_WHOSE[scope]}: give it to {_GIVEN[home].format(name)}"
        )


def _unknown(name: str, scope: Scope) -> str:
    if name in CELERYS:
        return f"there is no option `{name}`: {CELERYS[name]}"
    if scope is Scope.APP and name in CONSTRUCTOR:
        return f"TaskFlow takes no {name}=: {CONSTRUCTOR[name]}"
    # What has its place in a call only is a better guess than none: whoever takes it is told where that is.
    near = get_close_matches(name, dict.fromkeys([*_NAMES[scope], *_NAMES[Scope.CALL]]), n=3, cutoff=_NEARLY)
    hint = " or ".join(f"`{word}`" for word in near)
    return f"there is no option `{name}`" + (
        f"; did you mean {hint}?" if near else f"; there are {', '.join(_NAMES[scope])}"
    )

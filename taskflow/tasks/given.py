"""What a declaration gives, taken apart: the options of its calls, the retry policy, and what is expected to be raised (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import InvalidOption
from ..options import POLICY, Scope, TaskOptions
from ..options.table import BY_SPELLING
from ..retry import RetryPolicy

_OF_RETRY_KWARGS = {"max_retries": "max_retries", "countdown": "default_retry_delay"}
"""What may stand in Celery's `retry_kwargs`, and the option that says it here."""


class Given(NamedTuple):
    """A declaration, checked."""

    layer: TaskOptions
    """The options of the task's calls."""
    policy: RetryPolicy
    """When it is tried again."""
    throws: tuple[type[BaseException], ...]
    """What it is expected to raise."""


def take_apart(given: Mapping[str, Any]) -> Given:
    """Check what a declaration gives.

    Args:
        given: the options as they were written, without `name` and `bind`.

    Raises:
        UnknownOption: there is no such option, or it is for one call.
        InvalidOption: a value cannot be, or two options contradict each other.
    """
    options = _without_retry_kwargs({name: value for name, value in given.items() if value is not None})
    throws = _types(options.pop("throws", ()))
    policy = {name: options.pop(name) for name in POLICY if name in options}
    if throws and "retry" not in policy:
        again = _types(policy.get("autoretry_for", ()))
        never = tuple(kind for kind in throws if not issubclass(kind, again))
        policy["dont_autoretry_for"] = (*_types(policy.get("dont_autoretry_for", ())), *never)
    return Given(TaskOptions.of(options, Scope.TASK), RetryPolicy.of(**policy), throws)


def overlay(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Lay what several places say over one another, as it was written: what a later one says replaces what an earlier one says in
    the same or in other words.

    Example:
        >>> overlay({"time_limit": 60, "queue": "slow"}, {"hard_timeout": 30})
        {'queue': 'slow', 'hard_timeout': 30}
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        replaced = {spelling for name in layer for spelling in _other_words(name)}
        merged = {name: value for name, value in merged.items() if name not in replaced} | dict(layer)
    return merged


def _other_words(name: str) -> tuple[str, ...]:
    option = BY_SPELLING.get(name)
    if option is None:
        return (name,)
    rivals = (BY_SPELLING[rival] for rival in option.rivals)
    return (*option.spellings, *(spelling for rival in rivals for spelling in rival.spellings))


def _without_retry_kwargs(given: dict[str, Any]) -> dict[str, Any]:
    """The same in the words that are here."""
    kwargs = given.pop("retry_kwargs", None)
    if not kwargs:
        return given
    if not isinstance(kwargs, Mapping):
        raise InvalidOption(f"option `retry_kwargs` takes a dict, not {type(kwargs).__name__}")
    for name, value in kwargs.items():
        if name not in _OF_RETRY_KWARGS:
            raise InvalidOption(
                f"option `retry_kwargs` cannot hold {name!r}: max_retries and countdown may stand in it; the rest is the retry "
                "policy's (docs/options.md)"
            )
        here = _OF_RETRY_KWARGS[name]
        if here in given and given[here] != value:
            raise InvalidOption(
                f"option `{here}` and {name!r} in `retry_kwargs` contradict each other; give one of them"
            )
        if name == "countdown" and given.get("retry_backoff"):
            continue  # as in Celery: the growing delay takes its place
        given[here] = value
    return given


def _types(given: Any) -> tuple[type[BaseException], ...]:
    types = (given,) if isinstance(given, type) else given
    if not isinstance(types, tuple | list) or not all(
        isinstance(one, type) and issubclass(one, BaseException) for one in types
    ):
        raise InvalidOption("options `throws` and `autoretry_for` take a tuple of exception classes")
    return tuple(types)

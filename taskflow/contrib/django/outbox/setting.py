"""`TASKFLOW["OUTBOX"]`: what it may hold, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from .. import making

NAME = 'TASKFLOW["OUTBOX"]'

MOST_BATCH = 5000


@dataclass(frozen=True, slots=True)
class OutboxSettings:
    """What the setting says.

    Args:
        is_on: whether there is an outbox.
        always: whether calls go there that do not say by the option `outbox`.
        databases: those that have the table, by their names in `DATABASES`.
        relay: whether a worker delivers what is there.
        poll_seconds: seconds between two looks for rows of which nobody has told.
        batch: how many rows are delivered together.
        notify: whether a commit wakes the relay, where the database is PostgreSQL.
    """

    is_on: bool = True
    always: bool = True
    databases: tuple[str, ...] = field(default=("default",))
    relay: bool = True
    poll_seconds: float = 0.5
    batch: int = 500
    notify: bool = True


_OFF = OutboxSettings(is_on=False, always=False)
_KEYS = ("ALWAYS", "DATABASES", "RELAY", "POLL_SECONDS", "BATCH", "NOTIFY")


def outbox_settings() -> OutboxSettings:
    """What the setting says now.

    Raises:
        ImproperlyConfigured: it cannot be.
    """
    return read(making.current_settings().outbox)


def read(given: Any) -> OutboxSettings:
    """What a value of the setting means.

    Raises:
        ImproperlyConfigured: it cannot be.
    """
    if isinstance(given, bool):
        return _ON if given else _OFF
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(
            f"{NAME} is True, False or a dict with any of {', '.join(_KEYS)}, not {type(given).__name__}"
        )
    items = tuple(
        (str(key), tuple(value) if isinstance(value, list) else value) for key, value in given.items()
    )
    try:
        return _read(items)  # it is asked for each call
    except TypeError:
        return _read.__wrapped__(items)  # with a value that cannot be kept, nor be right


@lru_cache(maxsize=16)
def _read(given: tuple[tuple[str, Any], ...]) -> OutboxSettings:
    for key, value in given:
        if key not in _KEYS:
            near = get_close_matches(key.upper(), _KEYS, 1)
            raise ImproperlyConfigured(
                f"{NAME}: there is no {key!r}" + (f"; did you mean {near[0]!r}?" if near else "")
            )
        if (problem := _problem(key, value)) is not None:
            raise ImproperlyConfigured(f"{NAME}[{key!r}] {problem}")
    return OutboxSettings(**{key.lower(): value for key, value in given})


def _problem(key: str, value: Any) -> str | None:
    """What is wrong with a value; None: nothing."""
    if key in ("ALWAYS", "RELAY", "NOTIFY"):
        return None if isinstance(value, bool) else f"is True or False, not {type(value).__name__}"
    if key == "DATABASES":
        fits = isinstance(value, tuple) and value and all(isinstance(one, str) for one in value)
        return None if fits else 'is a list of names in DATABASES, as ["default"]'
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return f"is a number over 0, not {value!r}"
    if key == "BATCH" and (not isinstance(value, int) or value > MOST_BATCH):
        return f"is a whole number of rows, at most {MOST_BATCH:,}"
    return None


_ON = OutboxSettings()

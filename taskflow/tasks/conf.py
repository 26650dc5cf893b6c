"""`app.conf`: Celery's settings. Each is taken, where it means something here, or refused with what to write instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol

from ..errors import InvalidOption, UnknownOption
from ..options.settings import ALWAYS, KNOWN, NOTHING, OF_APP, OPTIONS, refusal


class Configured(Protocol):
    """The app, as far as it is configured."""

    def _configure(self, name: str, value: Any) -> None:
        """Take a setting that means something here."""


class Conf:
    """The settings that an app was given by Celery's names: `app.conf.task_time_limit = 60`, `app.conf.update(...)`.

    Args:
        app: whose they are.

    Example:
        >>> from taskflow import TaskFlow
        >>> app = TaskFlow("shop")
        >>> app.conf.update(task_time_limit=60, task_routes={"shop.images.*": "images"})
    """

    __slots__ = ("_app", "_given")

    _app: Configured
    _given: dict[str, Any]

    def __init__(self, app: Configured) -> None:
        object.__setattr__(self, "_app", app)
        object.__setattr__(self, "_given", {})

    def update(self, settings: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Take several settings.

        Raises:
            UnknownOption: there is no such setting, or it is given elsewhere here.
            InvalidOption: a value cannot be.
        """
        for name, value in {**(settings or {}), **more}.items():
            self._set(name, value)

    def get(self, name: str, default: Any = None) -> Any:
        """What was given."""
        return self._given.get(name, default)

    def __setattr__(self, name: str, value: Any) -> None:
        self._set(name, value)

    __setitem__ = __setattr__

    def __getattr__(self, name: str) -> Any:
        if name in self._given:
            return self._given[name]
        raise AttributeError(_unknown(name) or f"app.conf.{name} was not given")

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError as error:
            raise KeyError(str(error)) from None

    def __contains__(self, name: object) -> bool:
        return name in self._given

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __repr__(self) -> str:
        return f"<settings {', '.join(self._given)}>"  # a URL may hold a password

    def _set(self, name: str, value: Any) -> None:
        if name in ALWAYS:
            may_be, why = ALWAYS[name]
            if value not in may_be:
                raise InvalidOption(f"app.conf.{name} cannot be {value!r}: {why}")
        elif name in OPTIONS or name in OF_APP:
            self._app._configure(name, value)
        elif name not in NOTHING and not (name == "result_backend" and value is None):
            raise UnknownOption(_unknown(name))
        self._given[name] = value


def settings_of(source: Any, namespace: str | None) -> dict[str, Any]:
    """The settings that an object holds.

    Args:
        source: a module or an object, a dict, or the name of one: "celeryconfig", "django.conf:settings".
        namespace: what their names begin with, in capitals, as `CELERY_TASK_TIME_LIMIT`; without it they are as they are.

    Raises:
        UnknownOption: with a namespace, a name that is no setting.
    """
    if isinstance(source, str):
        module, _, attribute = source.partition(":")
        source = import_module(module)
        for part in attribute.split(".") if attribute else ():
            source = getattr(source, part)
    if isinstance(source, Mapping):
        names, value_of = list(source), source.__getitem__
    else:
        names, value_of = dir(source), lambda name: getattr(source, name)
    if namespace:
        begin = f"{namespace.rstrip('_')}_"
        return {name.removeprefix(begin).lower(): value_of(name) for name in names if name.startswith(begin)}
    # A module has more than settings: what it imports, and what it computes them from.
    everything = not isinstance(source, ModuleType | type)
    return {
        name: value_of(name)
        for name in names
        if not name.startswith("_")
        and (name in KNOWN or refusal(name) or (everything and isinstance(source, Mapping)))
    }


def _unknown(name: str) -> str:
    """What is said of a setting that is not taken; empty: there is nothing to be said."""
    if (why := refusal(name)) is not None:
        return f"there is no app.conf.{name}: {why}"
    if name in KNOWN:
        return ""
    lower = name.lower().removeprefix("celery_").removeprefix("celeryd_")
    near = get_close_matches(lower, KNOWN, n=2, cutoff=0.7)
    hint = f"; did you mean {' or '.join(near)}?" if near else "; docs/celery.md has those that there are"
    return f"there is no app.conf.{name}{hint}"

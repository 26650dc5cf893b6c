"""The apps of this process by their names, for handles that come out of a pickle."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..errors import ConfigurationError
from ..message.returns import Returns


class RegisteredApp(Protocol):
    """What is asked of an app that was found."""

    name: str
    tasks: Mapping[str, Any]

    @property
    def broker_url(self) -> str:
        """The broker's URL."""

    @property
    def client(self) -> Any:
        """What it enqueues with."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """A broker in the place of those that apps were given.

    Args:
        url: the broker's.
        client_class: what apps enqueue with: `client.Client`, or a class derived from it.
    """

    url: str = field(repr=False)
    client_class: Any


_apps: dict[str, list[weakref.ref[Any]]] = {}
_order: list[weakref.ref[Any]] = []
"""The one that is current is the last."""

redirected: Redirect | None = None
"""What every app of this process uses, whatever broker it was given: that of a test (`taskflow.testing`)."""

shared: list[Any] = []
"""The tasks of `shared_task`. Each app has them all."""

finders: list[Callable[[], Any]] = []
"""Who is asked first which app is the current one; each gives it, or None."""


def register(app: Any) -> None:
    """Remember an app as long as it lives."""
    known = [one for one in _apps.get(app.name, ()) if one() is not None]
    _apps[app.name] = [*known, weakref.ref(app)]
    make_current(app)


def make_current(app: Any) -> None:
    """Make an app the current one."""
    _order[:] = [*(one for one in _order if one() not in (None, app)), weakref.ref(app)]


def apps() -> list[Any]:
    """The apps of this process; the current one is the last."""
    return [app for one in _order if (app := one()) is not None]


def current() -> Any:
    """The app that is current here; None: there is none."""
    for find_app in finders:
        if (app := find_app()) is not None:
            return app
    found = apps()
    return found[-1] if found else None


def find(name: str) -> RegisteredApp:
    """The app of this name.

    Raises:
        ConfigurationError: there is none, or there are several with different brokers.
    """
    found: list[RegisteredApp] = [app for one in _apps.get(name, ()) if (app := one()) is not None]
    if not found:
        raise ConfigurationError(
            f"this result belongs to an app named {name!r}, and there is none in this process: import the module that makes "
            "it, or use app.result(id, queue=...)"
        )
    if len({app.broker_url for app in found}) > 1:
        raise ConfigurationError(
            f"this result belongs to an app named {name!r}, and this process has several of this name, with different brokers: "
            "give each a name of its own, or use app.result(id, queue=...)"
        )
    return found[-1]


def the_app() -> Any:
    """The one app of this process, or the one that is current here (`finders`).

    Raises:
        ConfigurationError: there is none, or there are several.
    """
    for find_app in finders:
        if (here := find_app()) is not None:
            return here
    found = [app for known in _apps.values() for one in known if (app := one()) is not None]
    if len(found) == 1:
        return found[0]
    there = "there is none in this process" if not found else f"this process has {len(found)}"
    raise ConfigurationError(
        f"AsyncResult(id) is for a process with one app, and {there}: write app.result(id), or AsyncResult(id, app=app)"
    )


class ClientOf:
    """Stands for the client of an app, by the app's name."""

    def __init__(self, app: str) -> None:
        self.app = app

    def __getattr__(self, name: str) -> Any:
        return getattr(find(self.__dict__["app"]).client, name)


class TaskOf:
    """Stands for a task of an app, by its name; nothing is known of its results where the app does not have it (any more)."""

    def __init__(self, app: str, name: str) -> None:
        self._app = app
        self.name = name

    @property
    def _returns(self) -> Returns:
        """How its results are read."""
        task = find(self._app).tasks.get(self.name)
        return task._returns if task is not None else Returns(_unknown)


def _unknown() -> None: ...

"""The apps of this process by their names, for handles that come out of a pickle."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
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


_apps: dict[str, list[weakref.ref[Any]]] = {}


def register(app: Any) -> None:
    """Remember an app as long as it lives."""
    known = [one for one in _apps.get(app.name, ()) if one() is not None]
    _apps[app.name] = [*known, weakref.ref(app)]


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

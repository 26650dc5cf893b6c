"""The setting `TASKFLOW = {...}`: what it may hold, and what it means.

Its keys are the arguments of `TaskFlow(...)` in capitals, the options for every task among them, and a few that only Django has.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, get_type_hints

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from taskflow import Defaults, TaskFlow
from taskflow.errors import ConfigurationError

SETTING = "TASKFLOW"

OF_DJANGO = {
    "ENQUEUE_ON_COMMIT": False,
    "ON_COMMIT_ROBUST": False,
    "OUTBOX": False,
    "AUTODISCOVER_MODULES": ("tasks",),
    "HEALTH_CHECKS": True,
    "ADMIN_SHOW_ARGUMENTS": False,
}
"""The keys that only Django has, with their defaults."""

_ARGUMENTS = inspect.signature(TaskFlow).parameters.values()

KEYS = frozenset(
    {
        *OF_DJANGO,
        *(one.name.upper() for one in _ARGUMENTS if one.kind is not one.VAR_KEYWORD),
        *(name.upper() for name in get_type_hints(Defaults)),
    }
)
"""All keys."""

FROM_PATHS = ("STORE", "TASK_CLS")
"""What may be given as a path to be imported, as settings cannot import what needs Django."""

ELSEWHERE = {
    "BROKER_URL": "BROKER",
    "URL": "BROKER",
    "TASK_ALWAYS_EAGER": "EAGER",
    "ALWAYS_EAGER": "EAGER",
    "IMMEDIATE": "EAGER",
    "TASK_EAGER_PROPAGATES": "EAGER_PROPAGATES",
    "TASK_DEFAULT_QUEUE": "QUEUE",
    "DEFAULT_QUEUE": "QUEUE",
    "IMPORTS": "INCLUDE",
    "RESULT_EXPIRES": "RETENTION",
    "COMMIT_MODE": "ENQUEUE_ON_COMMIT",
    "ON_COMMIT": "ENQUEUE_ON_COMMIT",
    "KEYS": "SIGNING_KEYS",
}
"""Keys of Celery's, Huey's, django-rq's, with ours for the same."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What `TASKFLOW` says.

    Args:
        app: the arguments of `TaskFlow(...)`.
        enqueue_on_commit: whether a call inside a transaction waits for its commit.
        on_commit_robust: whether a call that cannot be enqueued after the commit is a line in the log, instead of an error.
        outbox: whether such calls are rows of the transaction until they are enqueued.
        autodiscover_modules: the modules of each installed app in which tasks are looked for.
        health_checks: whether a worker's open connections to databases are tried before a task uses them.
        admin_show_arguments: whether the admin shows arguments and results of tasks, to users with the permission for it.
    """

    app: Mapping[str, Any] = field(repr=False)
    enqueue_on_commit: bool
    on_commit_robust: bool
    outbox: Any
    autodiscover_modules: tuple[str, ...]
    health_checks: bool
    admin_show_arguments: bool


def read() -> Settings:
    """What Django's settings say.

    Raises:
        ImproperlyConfigured: a key, or a value, cannot be.
    """
    given = getattr(django_settings, SETTING, {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(
            f'{SETTING} is to be a dict, as {SETTING} = {{"BROKER": "redis://…"}}, not {type(given).__name__}'
        )
    problems = [problem for key in given if (problem := _problem(key))]
    if problems:
        raise ImproperlyConfigured(f"{SETTING}: " + "; ".join(problems))
    own = {key.lower(): given.get(key, default) for key, default in OF_DJANGO.items()}
    for key in ("ENQUEUE_ON_COMMIT", "ON_COMMIT_ROBUST", "HEALTH_CHECKS", "ADMIN_SHOW_ARGUMENTS"):
        if not isinstance(given.get(key, False), bool):
            raise ImproperlyConfigured(
                f"{SETTING}[{key!r}] is True or False, not {type(given[key]).__name__}"
            )
    modules = own["autodiscover_modules"] or ()
    if isinstance(modules, str) or not all(isinstance(name, str) for name in modules):
        raise ImproperlyConfigured(
            f'{SETTING}["AUTODISCOVER_MODULES"] is a list of names of modules, as ["tasks"]'
        )
    own["autodiscover_modules"] = tuple(modules)
    app = {key.lower(): _value(key, value) for key, value in given.items() if key not in OF_DJANGO}
    return Settings(app=app, **own)


def make(settings: Settings, project: str, name: str) -> TaskFlow:
    """The app that the settings ask for.

    Args:
        settings: they.
        project: a file of the project, whose development server is used where no broker is given.
        name: the app's, where the settings give none.

    Raises:
        ImproperlyConfigured: `TaskFlow` does not take them.
    """
    try:
        return TaskFlow(**{"project": project, "name": name, **settings.app})
    except ConfigurationError as error:
        raise ImproperlyConfigured(f"{SETTING}: {error}") from error


def use_broker(app: TaskFlow, url: str | None) -> None:
    """Have the app use another broker; None: the project's development server.

    Raises:
        ImproperlyConfigured: the URL cannot be understood.
    """
    try:
        app.use_broker(url)
    except ConfigurationError as error:
        raise ImproperlyConfigured(f"{SETTING}: {error}") from error


def _value(key: str, value: Any) -> Any:
    if key in FROM_PATHS and isinstance(value, str):
        try:
            return import_string(value)
        except ImportError as error:
            raise ImproperlyConfigured(f"{SETTING}[{key!r}]: {error}") from error
    return value


def _problem(key: object) -> str | None:
    """What is wrong with a key; None: nothing."""
    if not isinstance(key, str):
        return f"the keys are texts, not {type(key).__name__}"
    if key in KEYS:
        return None
    if key.upper() in KEYS:
        return f"{key!r} is written {key.upper()!r}"
    if key in ELSEWHERE:
        return f"there is no {key!r}; use {ELSEWHERE[key]!r}"
    near = get_close_matches(key.upper(), KEYS, 1)
    return f"there is no {key!r}" + (f"; did you mean {near[0]!r}?" if near else "")

"""Django: `INSTALLED_APPS += ["taskflow.contrib.django"]`, and one setting, `TASKFLOW = {...}`. See docs/django.md.

Example:
    >>> from taskflow.contrib.django import app                          # doctest: +SKIP
    >>> app.result("order-17").get(timeout=10)                           # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskflow import TaskFlow

    from .backend import TaskFlowBackend

    app: TaskFlow

__all__ = ["TaskFlowBackend", "app", "get_app"]


def get_app() -> TaskFlow:
    """The app that is made from the setting `TASKFLOW`.

    It is there as soon as Django begins to load `INSTALLED_APPS`, so before any model, and in each `ready()`.

    Raises:
        ConfigurationError: Django is not set up, or "taskflow.contrib.django" is not in `INSTALLED_APPS`.
        ImproperlyConfigured: there are no settings, or `TASKFLOW` cannot be.

    Example:
        >>> from taskflow.contrib.django import get_app
        >>> get_app().result("order-17").get(timeout=10)                 # doctest: +SKIP
    """
    # Only here: Django imports this package before its apps may be asked for anything.
    from .making import current_app

    return current_app()


def __getattr__(name: str) -> Any:
    if name == "app":
        return get_app()
    if name == "TaskFlowBackend":  # imported by who asks for it: it needs Django 6
        from .backend import TaskFlowBackend

        return TaskFlowBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

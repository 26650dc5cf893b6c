"""The Django app: makes the TaskFlow app when Django begins to load, and finds the tasks when it has its models."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules

from taskflow import TaskFlow

from . import checks, making
from .parts import PARTS


class TaskFlowConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """Makes the app of the setting `TASKFLOW`.

    Django makes this object before it imports any module of models, so whatever imports a task from there on, in whatever order,
    finds the app there. The modules with tasks are imported in `ready()`, as the admin does it with `admin.py`: all models are
    there by then, and by the end of `django.setup()` all tasks.
    """

    name = "taskflow.contrib.django"
    label = "taskflow"
    verbose_name = "Taskflow"
    default_auto_field = "django.db.models.BigAutoField"

    def __init__(self, app_name: str, app_module: ModuleType) -> None:
        super().__init__(app_name, app_module)
        making.start(PARTS)

    @property
    def taskflow_app(self) -> TaskFlow:
        """The app; how `taskflow -A proj` finds it in a project."""
        return making.current_app()

    def ready(self) -> None:
        """Find the tasks: `tasks.py` of each app that is installed."""
        checks.register_all()
        # Only here: there were no models when this module was imported.
        from .outbox.checks import register_checks

        register_checks()
        modules: Any = making.current_settings().autodiscover_modules
        if modules:
            autodiscover_modules(*modules)

"""What an app has for those who come from Celery: its settings, its class of tasks, and answers to the names that it has not."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from types import MethodType
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError, InvalidOption
from ..options import BOTTOM, TaskOptions, merge
from ..options.refused import APP
from .app_tasks import AppTasks
from .by_value import ByValueTask
from .given import overlay, take_apart
from .registry import finders, make_current
from .sender import CallMaker
from .task import BaseTask, Task

if TYPE_CHECKING:
    from .conf import Conf
    from .rules import Annotations, Routes


class AppCelery(AppTasks):
    """The part of an app that Celery's users look for; `TaskFlow` sets what is declared here."""

    _include: tuple[str, ...]
    _conf: Conf | None
    _own_defaults: TaskOptions
    """What the app was made with."""
    _settings: dict[str, Any]
    """The settings that are options of all tasks, by the options' names."""
    _routes: Routes | None
    _annotations: Annotations | None

    @property
    def conf(self) -> Conf:
        """Celery's settings: `app.conf.task_time_limit = 60`, `app.conf.update(...)`. See docs/celery.md."""
        if self._conf is None:
            # Only here: most apps have no such settings.
            from .conf import Conf

            self._conf = Conf(self)
        return self._conf

    def config_from_object(self, source: Any, *, namespace: str | None = None, **_: Any) -> None:
        """Take Celery's settings from a module, an object or a dict.

        Args:
            source: it, or its name: "celeryconfig", "django.conf:settings".
            namespace: what the names begin with, as "CELERY" in Django's settings.

        Raises:
            UnknownOption: a setting is given elsewhere here, or with a namespace, there is no such setting.
            InvalidOption: a value cannot be.
        """
        from .conf import settings_of

        self.conf.update(settings_of(source, namespace))

    def config_from_envvar(self, variable: str) -> None:
        """Take Celery's settings from the module that an environment variable names.

        Raises:
            ConfigurationError: the variable is not set.
        """
        if not os.environ.get(variable):
            raise ConfigurationError(
                f"the variable {variable} is not set; it is to name the module with the settings"
            )
        self.config_from_object(os.environ[variable])

    @property
    def Task(self) -> type[Any]:
        """What tasks without `base=` are made of; may be set to a class of one's own."""
        return self._task_class or Task

    @Task.setter
    def Task(self, kind: type[Any]) -> None:
        self._set_task_class(kind)

    def _set_task_class(self, kind: type[Any] | None) -> None:
        if kind is not None:
            if isinstance(kind, str):
                raise InvalidOption(f"task_cls takes the class itself, not its name {kind!r}")
            from .base import options_of

            options_of(kind)
        self._task_class = kind

    def set_current(self) -> None:
        """Make this the app that tasks of `shared_task` are enqueued with, outside of tasks. It is the one that was made last."""
        make_current(self)

    set_default = set_current

    @staticmethod
    def find_current_by(find: Callable[[], AppCelery | None]) -> None:
        """Have a function say which app is the current one here, before `set_current` counts: for frameworks with several
        applications in a process. Inside of tasks it is not asked.

        Args:
            find: gives the app, or None where it knows of none. A function that is given again is asked once.

        Example:
            >>> TaskFlow.find_current_by(lambda: request_app.get(None))     # doctest: +SKIP
        """
        if find not in finders:
            finders.append(find)

    if not TYPE_CHECKING:  # who checks types is to hear of a name that is misspelt

        def __getattr__(self, name: str) -> Any:
            whose = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(f"{whose}: {APP[name]}" if name in APP else whose)

    # --- settings ---------------------------------------------------------------------------------------------

    def _configure(self, name: str, value: Any) -> None:
        """Take a setting that means something here. Tasks that are declared already have it, too."""
        # Only here, as the others: most apps have no such settings.
        from ..options.settings import OPTIONS

        if name == "result_expires" and not value:
            raise InvalidOption(
                "app.conf.result_expires: a result is kept for a time; give seconds or a timedelta"
            )
        if name in OPTIONS:
            layer = {**self._settings, OPTIONS[name]: value}
            self._defaults = merge(BOTTOM, self._own_defaults, _layer(layer))
            self._settings = layer
        elif name == "task_routes":
            from .rules import Routes

            self._routes = None if value is None else Routes(value)
        elif name == "task_annotations":
            from .rules import Annotations

            self._annotations = None if value is None else Annotations(value)
        elif name == "broker_url":
            self.use_broker(value)
        elif name == "task_always_eager":
            self.eager = bool(value)
        elif name == "task_eager_propagates":
            self.eager_propagates = bool(value)
        else:  # imports, include
            self._include = (*self._include, *([value] if isinstance(value, str) else value))
        self._has_rules = True
        for task in self.tasks.values():
            self._lay(task)

    def _lay(self, task: BaseTask[Any, Any]) -> None:
        if isinstance(task, ByValueTask):
            task._rest_on(replace(self._defaults, unique=None))
            return
        written = task._written
        hooks: dict[str, Any] = {}
        if self._annotations is not None:
            options, hooks = self._annotations.of(task.name)
            written = overlay(written, options)
        parts = take_apart(written)
        task._policy, task._throws = parts.policy, parts.throws
        task._rest_on(merge(self._defaults_of(task), parts.layer))
        for name in task._hooks - type(task)._hooks:
            delattr(task, name)  # an earlier setting's
        for name, hook in hooks.items():
            setattr(task, name, MethodType(hook, task))
        task._hooks = type(task)._hooks | hooks.keys()

    def _places(self) -> dict[str, int]:
        places = super()._places()
        for name in self._routes.queues() if self._routes is not None else ():
            places.setdefault(name, self._partitions.get(name, 0))
        return places

    def _defaults_of(self, task: CallMaker[Any, Any]) -> TaskOptions:
        """What holds for a task unless it says otherwise itself."""
        if self._routes is None:
            return self._defaults
        defaults = merge(self._defaults, self._routes.of(task.name))
        return self._routes.watch(task, defaults) if self._routes.asks else defaults


def _layer(settings: dict[str, Any]) -> TaskOptions:
    options = {name: value for name, value in settings.items() if name != "ignore_result"}
    layer = TaskOptions.of(options)
    layer.ignore_result = settings.get("ignore_result")
    return layer

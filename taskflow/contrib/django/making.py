"""The app of a Django project: made once, and anew when a test overrides the setting."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from taskflow import TaskFlow
from taskflow.errors import ConfigurationError

from . import conf

Parts = Sequence[Callable[[TaskFlow], None]]
"""What is attached to each app that is made."""

LIVE = frozenset({"broker", "eager", "eager_propagates"})
"""What an app may be told while it lives. Anything else that is changed makes another one."""


class Made:
    """The app, and the settings that it was made from."""

    def __init__(self, settings: conf.Settings, parts: Parts) -> None:
        self.settings = settings
        self.parts = parts
        self.app = _make(settings)
        for attach in parts:
            attach(self.app)

    def take(self, settings: conf.Settings) -> bool:
        """Do as these settings say; False: that takes another app."""
        old, new = self.settings.app, settings.app
        changed = {key for key in {*old, *new} if key not in old or key not in new or old[key] != new[key]}
        if not changed <= LIVE:
            return False
        if "broker" in changed:
            conf.use_broker(self.app, new.get("broker"))
        self.app.eager = new.get("eager", False)
        self.app.eager_propagates = new.get("eager_propagates", False)
        self.settings = settings
        return True


_lock = threading.RLock()
_made: Made | None = None
_before: list[Made] = []
"""What was there before a test has overridden the setting, and is there again after it."""


def start(parts: Parts) -> None:
    """Make the app, which Django does when it begins to load what is installed."""
    global _made
    with _lock:
        if _made is None:
            _made = Made(conf.read(), parts)


def current_app() -> TaskFlow:
    """The app.

    Raises:
        ConfigurationError: it was not made yet.
    """
    return _current().app


def current_settings() -> conf.Settings:
    """What the setting says now."""
    return _current().settings


def _current() -> Made:
    if _made is None:
        raise ConfigurationError(
            'there is no app: "taskflow.contrib.django" has to be in INSTALLED_APPS, and Django set up before the app is asked '
            "for. Declare tasks with @shared_task, which needs none; in a program of your own call django.setup() first"
        )
    return _made


def _setting_changed(*, setting: str, **_: object) -> None:
    """`override_settings(TASKFLOW=...)`, and its end. Tasks of `@shared_task` follow to another app, those of `@app.task` do
    not.
    """
    global _made
    if setting != conf.SETTING:
        return
    with _lock:
        if _made is None:
            return
        settings = conf.read()
        if _made.take(settings):
            return
        _made.app.close()
        if _before and _before[-1].take(settings):
            _made = _before.pop()
            _made.app.set_current()
        else:
            _before.append(_made)
            _made = Made(settings, _made.parts)


setting_changed.connect(_setting_changed, dispatch_uid="taskflow")


def _make(settings: conf.Settings) -> TaskFlow:
    module = _settings_module()
    # Settings that were given by `settings.configure()` have no file: the current directory is the project's.
    file = getattr(sys.modules.get(module), "__file__", None) or os.path.join(os.getcwd(), "manage.py")
    return conf.make(settings, file, module.partition(".")[0] or "django")


@cache
def _settings_module() -> str:
    """The name of the module with Django's settings; "" where they were given by `settings.configure()`.

    It is asked for when Django starts: settings that a test overrides say that they have none.
    """
    return str(getattr(django_settings, "SETTINGS_MODULE", None) or "")

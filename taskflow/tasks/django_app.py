"""`-A proj`, where `proj` is the package of a Django project: sets Django up, and finds the app that an installed app of it has.

Which one that is nobody here knows by name: any whose `AppConfig` has the attribute `taskflow_app`.
"""

from __future__ import annotations

import os
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

VARIABLE = "DJANGO_SETTINGS_MODULE"

_IN_MANAGE = re.compile(rf"""{VARIABLE}["']\s*,\s*["']([\w.]+)["']""")
"""As `manage.py` has it since Django 1.4: `os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")`."""


def settings_module(module: ModuleType) -> str | None:
    """The module with the settings of the project that a package belongs to; None: it belongs to none.

    What the environment says comes first, as everywhere in Django, then what `manage.py` in the current directory would say, then
    `settings` in the package itself.
    """
    if find_spec("django") is None:
        return None
    if named := os.environ.get(VARIABLE):
        return named
    try:
        found = _IN_MANAGE.search(Path("manage.py").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        found = None
    if found is not None:
        return found[1]
    inside = f"{module.__name__}.settings"
    return inside if hasattr(module, "__path__") and find_spec(inside) is not None else None


def set_up(settings: str) -> Any:
    """Set Django up, and find the app; None: no installed app has one.

    Args:
        settings: the module with the settings, unless Django has some already.
    """
    os.environ.setdefault(VARIABLE, settings)
    import_module("django").setup()
    for config in import_module("django.apps").apps.get_app_configs():
        if (app := getattr(config, "taskflow_app", None)) is not None:
            return app
    return None

"""`app.autodiscover_tasks(...)`: the modules with tasks, of packages by name or of the apps that Django has installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ..errors import ConfigurationError

Packages = Iterable[str] | Callable[[], Iterable[str]] | None
"""Names of packages, what gives them, or None: those that Django has installed."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """One call of `autodiscover_tasks`.

    Args:
        packages: what it was given.
        related_name: the module to import of each package; None or "": the package itself.
    """

    packages: Packages
    related_name: str | None

    @property
    def waits(self) -> bool:
        """Whether it is too early: Celery's users call it in the module that Django imports while it is being set up."""
        return (self.packages is None and not _django_is_ready()) or callable(self.packages)

    def check(self) -> None:
        """Refuse at once what cannot be carried out later.

        Raises:
            ConfigurationError: no packages are given, and there is no Django that could name them.
        """
        if self.packages is None and not _is_django_project():
            raise ConfigurationError(
                "autodiscover_tasks() without packages looks into the apps that Django has installed, and Django is not "
                "configured here: set DJANGO_SETTINGS_MODULE, or name the packages: autodiscover_tasks(['shop'])"
            )

    def run(self) -> None:
        """Import the modules."""
        for package in _names(self.packages):
            _import(package, self.related_name)


def _names(packages: Packages) -> list[str]:
    if packages is None:
        _set_django_up()
        return [config.name for config in import_module("django.apps").apps.get_app_configs()]
    given = packages() if callable(packages) else packages
    return [given] if isinstance(given, str) else list(given)


def _import(entry: str, related_name: str | None) -> None:
    package = _package(entry)
    if not related_name:
        return
    wanted = f"{package}.{related_name}"
    try:
        import_module(wanted)
    except ModuleNotFoundError as error:
        # A package without tasks is fine; a missing module that its tasks import is not.
        if error.name != wanted:
            raise


def _package(entry: str) -> str:
    """The package that an entry names: itself, or that of a Django `AppConfig` (`shop.apps.ShopConfig`)."""
    try:
        import_module(entry)
    except ModuleNotFoundError as error:
        parent, _, attribute = entry.rpartition(".")
        if error.name is None or not f"{entry}.".startswith(f"{error.name}."):
            raise
        config = getattr(import_module(parent), attribute, None) if _exists(parent) else None
        name = getattr(config, "name", None)
        if isinstance(config, type) and isinstance(name, str):
            return name
        raise ConfigurationError(
            f"autodiscover_tasks: there is no package {entry!r} (nor a Django AppConfig of this name); "
            "name packages that can be imported, as in INSTALLED_APPS"
        ) from None
    return entry


def _exists(module: str) -> bool:
    try:
        return bool(module) and find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _is_django_project() -> bool:
    if "DJANGO_SETTINGS_MODULE" in os.environ:
        return find_spec("django") is not None
    return bool("django.conf" in sys.modules and import_module("django.conf").settings.configured)


def _django_is_ready() -> bool:
    apps: Any = sys.modules.get("django.apps")
    return bool(apps is not None and apps.apps.ready)


def _set_django_up() -> None:
    """In a worker nobody else does, as in Celery's."""
    if not _django_is_ready():
        import_module("django").setup()

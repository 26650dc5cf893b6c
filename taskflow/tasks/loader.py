"""`-A module[:attribute]`: finds the app that a command names."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from types import ModuleType
from typing import Any

from ..errors import AppNotFound
from . import django_app
from .app import TaskFlow
from .factories import HOLDS, Reference, app_of, apps_in, factory_in

_NAMES = ("app", "taskflow", "application", "celery")
_INSIDE = ("celery", "taskflow", "app")
"""Modules of a package in which its app is looked for when the package itself has none, as Celery does in the first."""

_LAST = "tasks"
"""The module in which it is looked for at the end: that of a Django app imports models, which need a Django that is set up."""


def load_app(spec: str) -> TaskFlow:
    """Import an app.

    Args:
        spec: `module`, `module:attribute` or `module:factory()`, with literals as its arguments, if any; a function is called
            without the parentheses, too. The current directory is looked at before what is installed.
            Without an attribute it is `app` or `taskflow`, or the module's only `TaskFlow`; of a package that has none, that of
            its module `celery`, `taskflow` or `app`; that of the Django project, if it is one's; that of its module `tasks`; what
            `create_app()` or `make_app()` gives. A path such as `shop/jobs.py` works too. In the place of a `TaskFlow` there may
            be whatever has one as its `__taskflow__`, as the application of a web framework.

    Returns:
        The app, with its `include` imported.

    Raises:
        AppNotFound: there is no such module or attribute, it is not an app, or the import failed; then the
            failure is its `__cause__`.
    """
    module_name, _, attribute = spec.partition(":")
    module_name = module_name.strip()
    if module_name.endswith(".py"):
        module_name = module_name.removesuffix(".py").strip("./").replace("/", ".")
    if not module_name or not all(part.isidentifier() for part in module_name.split(".")):
        raise AppNotFound(
            f"-A {spec!r} names no module; write module or module:attribute, as in -A shop.tasks:app"
        )
    _look_in(os.getcwd(), module_name, spec)
    module = _import(module_name, spec)
    return complete(_named(module, attribute, spec) if attribute else _find(module, spec), spec)


def complete(app: TaskFlow, spec: str) -> TaskFlow:
    """Import what an app has put off: its `include`, and what `autodiscover_tasks` is to find.

    Args:
        app: the app, which is returned.
        spec: what it is called in errors.

    Raises:
        AppNotFound: an import failed.
    """
    for name in app._include:
        _import(name, spec)
    try:
        app._discover()
    except (Exception, SystemExit) as error:
        raise AppNotFound(
            f"-A {spec!r}: looking for tasks (autodiscover_tasks) failed: {type(error).__name__}: {error}"
        ) from error
    return app


def _look_in(directory: str, module_name: str, spec: str) -> None:
    """Find modules in this directory: after the standard library's, which a project's own `queue.py` must not replace, and before
    those that are installed.
    """
    if directory not in sys.path:
        installed = (
            at for at, path in enumerate(sys.path) if path.endswith(("site-packages", "dist-packages"))
        )
        sys.path.insert(next(installed, len(sys.path)), directory)
    top = module_name.partition(".")[0]
    if top in sys.stdlib_module_names:
        raise AppNotFound(
            f"-A {spec!r}: {top!r} is a module of Python's standard library; rename yours, as {top}_tasks for instance"
        )


def _import(name: str, spec: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise AppNotFound(
                f"-A {spec!r}: there is no module {error.name!r} in {os.getcwd()} or on Python's path; "
                "run the command where the module is"
            ) from None
        raise AppNotFound(f"-A {spec!r}: importing {name!r} failed: {error}") from error
    except (Exception, SystemExit) as error:
        raise AppNotFound(
            f"-A {spec!r}: importing {name!r} failed: {type(error).__name__}: {error}"
        ) from error


def _named(module: ModuleType, attribute: str, spec: str) -> TaskFlow:
    named = Reference.read(attribute, spec)
    value = _attribute(module, named.path, spec)
    if named.args is not None or inspect.isfunction(value):
        value, attribute = named.call(value, spec), attribute.partition("(")[0] + "()"
    app = app_of(value)
    if app is None:
        raise AppNotFound(
            f"-A {spec!r}: {attribute!r} is a {type(value).__name__}, not a TaskFlow app, and has none as its {HOLDS}"
        )
    return app


def _attribute(module: ModuleType, path: str, spec: str) -> Any:
    value: Any = module
    for part in path.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            raise AppNotFound(
                f"-A {spec!r}: module {module.__name__!r} has no attribute {path!r}{_hint(module)}"
            ) from None
    return value


def _find(module: ModuleType, spec: str) -> TaskFlow:
    if (found := _in(module, spec)) is not None:
        return found
    modules = [module]
    is_package = hasattr(module, "__path__")
    for name in _INSIDE if is_package else ():
        if (inside := _inside(module, name, spec)) is not None:
            if (found := _in(inside, spec)) is not None:
                return found
            modules.append(inside)
    factories = [(one, factory) for one in modules if (factory := factory_in(one)) is not None]
    if not factories and (of_django := _of_django(module, spec)) is not None:
        return of_django
    inside = _inside(module, _LAST, spec) if is_package else None
    if inside is not None and (found := _in(inside, spec)) is not None:
        return found
    if factories:
        return _named(*factories[0], spec)
    if django_app.VARIABLE in os.environ:
        raise AppNotFound(
            f"-A {spec!r}: the Django project with the settings {os.environ[django_app.VARIABLE]!r} has no TaskFlow app; add "
            '"taskflow.contrib.django" to its INSTALLED_APPS'
        )
    raise AppNotFound(
        f"-A {spec!r}: module {module.__name__!r} has no TaskFlow app; make one with app = TaskFlow(...), "
        f"or name it: -A {module.__name__}:attribute"
    )


def _in(module: ModuleType, spec: str) -> TaskFlow | None:
    """The app of this very module."""
    for name in _NAMES:
        if (app := app_of(getattr(module, name, None))) is not None:
            return app
    apps = apps_in(module)
    if len(apps) > 1:
        names = ", ".join(f"{module.__name__}:{name}" for name in apps)
        raise AppNotFound(f"-A {spec!r}: module {module.__name__!r} has several apps; name one: {names}")
    return next(iter(apps.values()), None)


def _inside(package: ModuleType, name: str, spec: str) -> ModuleType | None:
    """A module of this package, if there is one of this name."""
    inside = f"{package.__name__}.{name}"
    return _import(inside, spec) if importlib.util.find_spec(inside) is not None else None


def _of_django(module: ModuleType, spec: str) -> TaskFlow | None:
    """The app of the Django project that this module belongs to; None: it belongs to none, or that has no app."""
    settings = django_app.settings_module(module)
    if settings is None:
        return None
    try:
        app = django_app.set_up(settings)
    except (Exception, SystemExit) as error:
        raise AppNotFound(
            f"-A {spec!r}: setting Django up with {settings!r} failed: {type(error).__name__}: {error}"
        ) from error
    return app if isinstance(app, TaskFlow) else None


def _hint(module: ModuleType) -> str:
    names = list(apps_in(module))
    return f"; it has {', '.join(names)}" if names else ""

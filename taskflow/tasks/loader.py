"""`-A module[:attribute]`: finds the app that a command names."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from types import ModuleType
from typing import Any

from ..errors import AppNotFound
from .app import TaskFlow

_NAMES = ("app", "taskflow", "application")


def load_app(spec: str) -> TaskFlow:
    """Import an app.

    Args:
        spec: `module`, `module:attribute` or `module:factory()`. The current directory is looked at before what is installed.
            Without an attribute it is `app` or `taskflow`, or the module's only `TaskFlow`. A path such as
            `shop/jobs.py` works too.

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
    app = _attribute(module, attribute, spec) if attribute else _find(module, spec)
    if not isinstance(app, TaskFlow):
        raise AppNotFound(f"-A {spec!r}: {attribute!r} is a {type(app).__name__}, not a TaskFlow app")
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


def _attribute(module: ModuleType, path: str, spec: str) -> Any:
    value: Any = module
    for part in path.removesuffix("()").split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            raise AppNotFound(
                f"-A {spec!r}: module {module.__name__!r} has no attribute {path!r}{_hint(module)}"
            ) from None
    if path.endswith("()"):
        try:
            value = value()
        except Exception as error:
            raise AppNotFound(
                f"-A {spec!r}: calling {path} failed: {type(error).__name__}: {error}"
            ) from error
    return value


def _find(module: ModuleType, spec: str) -> TaskFlow:
    for name in _NAMES:
        if isinstance(found := getattr(module, name, None), TaskFlow):
            return found
    apps = _apps(module)
    if len(apps) == 1:
        return next(iter(apps.values()))
    if apps:
        names = ", ".join(f"{module.__name__}:{name}" for name in apps)
        raise AppNotFound(f"-A {spec!r}: module {module.__name__!r} has several apps; name one: {names}")
    raise AppNotFound(
        f"-A {spec!r}: module {module.__name__!r} has no TaskFlow app; make one with app = TaskFlow(...), "
        f"or name it: -A {module.__name__}:attribute"
    )


def _apps(module: ModuleType) -> dict[str, TaskFlow]:
    apps: dict[int, tuple[str, TaskFlow]] = {}
    for name, value in vars(module).items():
        if isinstance(value, TaskFlow):
            apps.setdefault(id(value), (name, value))
    return dict(apps.values())


def _hint(module: ModuleType) -> str:
    names = list(_apps(module))
    return f"; it has {', '.join(names)}" if names else ""

"""What `-A` names that is no app itself, but has one: an application of a web framework, or a function that makes it."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ..errors import AppNotFound
from .app import TaskFlow

HOLDS = "__taskflow__"
"""The attribute by which anything, such as the application of a web framework, says which `TaskFlow` is its own."""

FACTORIES = ("create_app", "make_app")
"""Functions of a module that are called, without arguments, where it has no app: the names that Flask's command knows."""


def app_of(value: Any) -> TaskFlow | None:
    """The app that something is, or has; None: neither."""
    if isinstance(value, TaskFlow):
        return value
    # Statically: a module's `from flask import current_app` is an object that raises when it is asked for anything.
    held = inspect.getattr_static(value, HOLDS, None)
    return held if isinstance(held, TaskFlow) else None


def apps_in(module: ModuleType) -> dict[str, TaskFlow]:
    """The apps that a module has, by the first name of each."""
    apps: dict[int, tuple[str, TaskFlow]] = {}
    for name, value in vars(module).items():
        if (app := app_of(value)) is not None:
            apps.setdefault(id(app), (name, app))
    return dict(apps.values())


def factory_in(module: ModuleType) -> str | None:
    """The name of a function of a module that makes the application."""
    return next((name for name in FACTORIES if inspect.isfunction(getattr(module, name, None))), None)


@dataclass(frozen=True, slots=True)
class Reference:
    """What stands behind the colon: a name, or the call of one with literals, as in Flask's and gunicorn's commands.

    Args:
        path: names with dots between them.
        args: positional arguments of the call; None: it is not called.
        kwargs: those by name.
    """

    path: str
    args: tuple[Any, ...] | None
    kwargs: dict[str, Any]

    @classmethod
    def read(cls, text: str, spec: str) -> Reference:
        """Read it.

        Raises:
            AppNotFound: it is neither.
        """
        try:
            found = ast.parse(text.strip(), mode="eval").body
            if not isinstance(found, ast.Call):
                return cls(_path(found), None, {})
            args = tuple(ast.literal_eval(one) for one in found.args)
            kwargs = {one.arg: ast.literal_eval(one.value) for one in found.keywords if one.arg is not None}
            if len(kwargs) < len(found.keywords):
                raise ValueError("a call with **")
            return cls(_path(found.func), args, kwargs)
        except (SyntaxError, ValueError):
            raise AppNotFound(
                f"-A {spec!r}: behind the colon stands a name, or a call with literals, as in -A \"shop:create_app('test')\""
            ) from None

    def call(self, function: Any, spec: str) -> Any:
        """Call what it names.

        Raises:
            AppNotFound: it cannot be called so, or it raised; then that is the `__cause__`.
        """
        try:
            inspect.signature(function).bind(*(self.args or ()), **self.kwargs)
        except TypeError as error:
            raise AppNotFound(
                f"-A {spec!r}: {self.path}() cannot be called so ({error}); give its arguments: "
                f"-A \"{spec.partition(':')[0]}:{self.path}('…')\""
            ) from None
        except ValueError:
            pass  # it has no signature that could be read: of something written in C
        try:
            return function(*(self.args or ()), **self.kwargs)
        except (Exception, SystemExit) as error:
            raise AppNotFound(
                f"-A {spec!r}: calling {self.path}() failed: {type(error).__name__}: {error}"
            ) from error


def _path(found: ast.expr) -> str:
    """The names of `one.two`."""
    if isinstance(found, ast.Name):
        return found.id
    if isinstance(found, ast.Attribute):
        return f"{_path(found.value)}.{found.attr}"
    raise ValueError("no name")

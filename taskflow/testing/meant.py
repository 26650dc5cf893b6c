"""Which task a test means, and what its arguments are called: one of ours, one of `django.tasks`, or a name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import InvalidOption
from ..tasks import registry
from ..tasks.app import TaskFlow
from ..tasks.sender import CallMaker

Named = str | CallMaker[Any, Any] | Callable[..., Any]
"""A task, or its name, as a handler of Go's has one."""


def name_of(task: Named) -> str:
    """The name of a task; a function that is none has none.

    Raises:
        InvalidOption: it is no task.
    """
    if isinstance(task, str):
        return task
    if _of_django(task) is not None:
        return str(task.module_path)  # type: ignore[union-attr]
    name = getattr(task, "name", None)
    if not isinstance(name, str):
        raise InvalidOption(
            f"{task!r} is no task: give what @app.task has made of the function, or the task's name"
        )
    return name


def by_name(task: Named, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be compared, by the names of the task's parameters.

    Raises:
        InvalidOption: there are too many arguments, or no app here knows what they are called.
    """
    if (function := _of_django(task)) is not None:
        return _bound(task, function, args, kwargs)
    found: Any = task if not isinstance(task, str) else getattr(app_with(task), "tasks", {}).get(task)
    if not args:
        return dict(kwargs)
    if found is None:
        raise InvalidOption(
            f"no app here knows task {task!r}, nor what its arguments are called: give them by name"
        )
    names = [one.name for one in found._signature.parameters.named if not one.keyword_only]
    if len(args) > len(names):
        raise InvalidOption(f"task {found.name!r} takes {len(names)} positional arguments, not {len(args)}")
    return {**dict(zip(names, args, strict=False)), **kwargs}


def arguments_of(task: Named, kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments of a stored call of this task, by the same names as `by_name` has them."""
    function = _of_django(task)
    if function is None or set(kwargs) != {"args", "kwargs"}:
        return kwargs
    try:
        return _bound(task, function, kwargs["args"], kwargs["kwargs"])
    except InvalidOption:
        return kwargs  # Django looks at them only when they are called


def refuse_doubtful(task: Named, **words: Any) -> None:
    """Refuse an argument that also means something to the assertion.

    Raises:
        InvalidOption: the task has an argument of that name.
    """
    signature: Any = getattr(task, "_signature", None)
    names = {one.name for one in signature.parameters.named} if signature is not None else set()
    for word, value in words.items():
        if value is not None and word in names:
            raise InvalidOption(
                f"task {name_of(task)!r} has an argument `{word}`, which also means something to assert_enqueued: give its "
                f"arguments as a call, assert_enqueued(task, mock.call({word}=...))"
            )


def app_with(name: str) -> TaskFlow | None:
    """The app that knows a task of this name; the current one first."""
    return next((app for app in reversed(registry.apps()) if name in app.tasks), None)


def _of_django(task: object) -> Callable[..., Any] | None:
    """The function of a task of `django.tasks`, known by what Django says that it has; None: it is none.

    Their messages hold `args` and `kwargs` as they were given, and their name is the function's path.
    """
    function = getattr(task, "func", None)
    return function if callable(function) and isinstance(getattr(task, "module_path", None), str) else None


def _bound(
    task: Any, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    context = (None,) if getattr(task, "takes_context", False) else ()
    try:
        bound = inspect.signature(function).bind_partial(*context, *args, **kwargs)
    except TypeError as error:
        raise InvalidOption(f"task {task.module_path!r}: {error}") from error
    return dict(list(bound.arguments.items())[len(context) :])

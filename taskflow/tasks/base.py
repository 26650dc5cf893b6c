"""`base=`: a class of the user's that a task is made of, as in Celery. Its instance is the task, one in each process."""

from __future__ import annotations

import inspect
from typing import Any

from ..errors import InvalidOption
from . import context
from .hooks import NAMES
from .task import OF_CLASSES, AsyncTask, BaseTask, Task

_OURS = frozenset({*Task.__mro__, *AsyncTask.__mro__})
_RESTORED = ("queue", "max_retries")
"""What a task tells of itself by a property, and a class may give as an option by an attribute."""


class _Based(BaseTask[Any, Any]):
    """What is added to a class of the user's. `self` in its tasks with `bind=True` is its instance, and the running task."""

    _calls_itself = False
    """Whether the class has a `__call__` of its own, which is then what an attempt calls."""

    def _call(self, kwargs: dict[str, Any]) -> Any:
        if "before_start" in self._hooks:
            current = context.current_task()
            self.before_start(current.id, (), kwargs)
        if self._calls_itself:
            return self(**kwargs)  # type: ignore[operator]
        return self.function(self, **kwargs) if self._bind else self.function(**kwargs)

    def _direct(self, args: Any, kwargs: Any) -> Any:
        self._refuse_uninjected(args, kwargs)
        return self.function(self, *args, **kwargs) if self._bind else self.function(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and hasattr(context.CurrentTask, name):
            return getattr(self._running(), name)
        return super().__getattr__(name)  # type: ignore[misc]


def class_of(base: type[Any], *, is_async: bool) -> type[BaseTask[Any, Any]]:
    """The class that tasks with this `base=` are instances of.

    Args:
        base: the user's class.
        is_async: whether they are coroutine functions.
    """
    own: dict[str, Any] = {
        "__module__": base.__module__,
        "__qualname__": base.__qualname__,
        "__doc__": base.__doc__,
        "is_async": is_async,
        "_calls_itself": base.__call__ not in (Task.__call__, AsyncTask.__call__),
        "_hooks": frozenset(name for name in NAMES if getattr(base, name) is not getattr(BaseTask, name)),
        **{name: vars_of(BaseTask, name) for name in _RESTORED},
    }
    if base.apply_async is not BaseTask.apply_async and base.delay is BaseTask.delay:
        own["delay"] = _delay  # as in Celery
    if base.aapply_async is not BaseTask.aapply_async and base.adelay is BaseTask.adelay:
        own["adelay"] = _adelay
    return type(base.__name__, (_Based, base), own)


def options_of(base: type[Any]) -> dict[str, Any]:
    """The options that a class has as attributes.

    Raises:
        InvalidOption: it cannot be the class of a task.
    """
    _check(base)
    found: dict[str, Any] = {}
    for one in reversed(base.__mro__):
        if one not in _OURS:
            found |= {
                name: value
                for name, value in vars(one).items()
                if name in OF_CLASSES and not isinstance(value, property) and not inspect.isroutine(value)
            }
    return {name: value for name, value in found.items() if value is not None}


def vars_of(kind: type[Any], name: str) -> Any:
    """An attribute as its class has it."""
    return next(vars(one)[name] for one in kind.__mro__ if name in vars(one))


def _check(base: object) -> None:
    if not (isinstance(base, type) and issubclass(base, BaseTask)):
        raise InvalidOption(
            "option `base` takes a class that is derived from taskflow.Task: class Mine(Task), then @app.task(base=Mine)"
        )
    for name in (*NAMES, "__init__"):
        if inspect.iscoroutinefunction(getattr(base, name)):
            raise InvalidOption(
                f"{base.__name__}.{name} cannot be asynchronous: it is called between attempts"
            )
    if any("run" in vars(one) for one in base.__mro__ if one not in _OURS):
        raise InvalidOption(
            f"{base.__name__}.run is called by nobody: what a task runs is the function that is declared with "
            "@app.task(base=...); to wrap it, write __call__ and call self.run(...) in it"
        )


def made_of(base: type[Any], declared: tuple[Any, ...], **how: Any) -> BaseTask[Any, Any]:
    """A task that is an instance of a class of the user's.

    Args:
        base: the class.
        declared: what `BaseTask` takes.
        how: likewise, and `is_async`: whether it is a coroutine function.
    """
    task = object.__new__(class_of(base, is_async=how.pop("is_async")))
    task._declare(*declared, **how)
    type(task).__init__(task)
    return task


def _delay(self: Any, /, *args: Any, **kwargs: Any) -> Any:
    return self.apply_async(args, kwargs)


async def _adelay(self: Any, /, *args: Any, **kwargs: Any) -> Any:
    return await self.aapply_async(args, kwargs)

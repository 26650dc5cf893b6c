"""`shared_task`: a task that belongs to no app of its own, as those of a library or a Django app. Each app has it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Literal, ParamSpec, TypeVar, Unpack, overload

from ..errors import ConfigurationError, TaskNotRegistered
from ..message.ids import check_task_name
from ..options import Declaration
from . import context, registry
from .declaration import BaseBindDecorator, BindDecorator, Decorator, name_of
from .first_line import check
from .given import overlay, take_apart
from .task import AsyncTask, BaseTask, Task

P = ParamSpec("P")
R = TypeVar("R")


@overload
def shared_task(function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...  # type: ignore[overload-overlap]
@overload
def shared_task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def shared_task(
    function: None = None, /, *, bind: Literal[True], base: type[Any], **options: Unpack[Declaration]
) -> BaseBindDecorator: ...
@overload
def shared_task(
    function: None = None, /, *, bind: Literal[True], base: None = None, **options: Unpack[Declaration]
) -> BindDecorator: ...
@overload
def shared_task(
    function: None = None,
    /,
    *,
    bind: Literal[False] = False,
    base: type[Any] | None = None,
    **options: Unpack[Declaration],
) -> Decorator: ...
def shared_task(
    function: Callable[..., Any] | None = None,
    /,
    *,
    bind: bool = False,
    base: type[Any] | None = None,
    **options: Any,
) -> Any:
    """Make a function a task of every app of the process: of those that there are, and of those that are made later.

    What is enqueued with it goes through the app that is current: inside a task the one that runs it; else the one that somebody
    knows of (`TaskFlow.find_current_by`), as that of a Flask application in its context; else the one that was made last, or has
    been chosen by `app.set_current()`.

    Args:
        function: the function, when used without parentheses.
        bind: as for `app.task`.
        base: as for `app.task`.
        **options: as for `app.task`.

    Returns:
        What can be used as the task is.

    Raises:
        InvalidSignature: as for `app.task`; so it is with the others.

    Example:
        >>> from taskflow import TaskFlow, shared_task
        >>> @shared_task(queue="images")
        ... def resize(src: str, width: int = 800) -> str:
        ...     return f"{src} at {width}"
        >>> app = TaskFlow("shop")
        >>> resize.app.name
        'shop'
    """
    if function is not None:
        return SharedTask(function, bind=bind, base=base, options=options)
    return lambda decorated: SharedTask(decorated, bind=bind, base=base, options=options)


class SharedTask:
    """Stands for the task that the current app has made of a function."""

    def __init__(
        self, function: Callable[..., Any], *, bind: bool, base: type[Any] | None, options: dict[str, Any]
    ) -> None:
        own: dict[str, Any] = {}
        if base is not None:
            from .base import options_of

            own = options_of(base)
        given = dict(options)
        self.name = check_task_name(given.pop("name", None) or name_of(function))
        take_apart(overlay(own, given))  # what cannot be is refused here, whether there is an app or not
        if bind:
            check(function, self.name, base)
        self._function = function
        self._how: dict[str, Any] = {"bind": bind, "base": base, "options": {**given, "name": self.name}}
        registry.shared[:] = [*(one for one in registry.shared if one.name != self.name), self]
        self.__name__ = getattr(function, "__name__", self.name)
        self.__qualname__ = getattr(function, "__qualname__", self.name)
        self.__module__ = getattr(function, "__module__", __name__)
        self.__doc__ = getattr(function, "__doc__", None)
        self.__wrapped__ = function
        for app in registry.apps():
            self._join(app)

    def _join(self, app: Any) -> None:
        """Become a task of this app."""
        app._register(self._function, **self._how)

    def _task(self) -> BaseTask[Any, Any]:
        """The task of the app that is current."""
        running = context.running_anything()
        app = registry.current() if running is None or running._task is None else running._task.app
        if app is None:
            raise ConfigurationError(
                f"task {self.name!r} is shared, and there is no app in this process that could enqueue it: import the module "
                "that makes TaskFlow(...) first"
            )
        task: BaseTask[Any, Any] | None = app.tasks.get(self.name)
        if task is None:
            raise TaskNotRegistered(self.name)
        return task

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function here and now."""
        if not registry.apps() and not self._how["bind"]:
            return self._function(*args, **kwargs)
        return self._task()(*args, **kwargs)  # type: ignore[operator]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task(), name)

    def __repr__(self) -> str:
        return f"<shared task {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return find_shared, (self.name,)

    @property
    def __class__(self) -> Any:
        # So that whoever asks for a task takes it for one.
        return type(self._task()) if registry.apps() else SharedTask

    @__class__.setter
    def __class__(self, kind: Any) -> None:
        raise TypeError("a shared task stays one")


def find_shared(name: str) -> SharedTask:
    """The shared task of this name, out of a pickle.

    Raises:
        TaskNotRegistered: the module that declares it is not imported here.
    """
    for one in registry.shared:
        if one.name == name:
            return one  # type: ignore[no-any-return]
    raise TaskNotRegistered(name)

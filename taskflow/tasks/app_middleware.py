"""An app and its middleware: `@app.middleware`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from .app_broker import AppBroker
from .task import BaseTask

if TYPE_CHECKING:
    # Only where there is some: most apps have none, and start without it.
    from .around import Around
    from .middleware import Middleware, Which

M = TypeVar("M")


class AppMiddleware(AppBroker):
    """The part of an app that has what is around calls and tasks; `TaskFlow` sets what is declared here."""

    _middleware: tuple[Middleware, ...]

    @overload
    def middleware(
        self, given: None = None, /, *, around: Which = "all", observer: bool = False
    ) -> _Decorator: ...
    @overload
    def middleware(self, given: M, /, *, around: Which = "all", observer: bool = False) -> M: ...
    def middleware(self, given: Any = None, /, *, around: Which = "all", observer: bool = False) -> Any:
        """Put something around the calls of all tasks: where they are enqueued, where they run, or both.

        The first that is registered is the outermost. See docs/middleware.md.

        Args:
            given: a class or an object with any of the methods `enqueue(self, call, next)` and `run(self, task, next)`, and their
                twins for coroutines, `aenqueue` and `arun`; or a function of `(task, next)`; or a generator function of `(task)`
                that yields once, which is around functions and coroutines alike. `call` is an `EnqueueCall`, `task` a
                `CurrentTask`.
            around: which tasks `run` and `arun` are around: "all", "functions" or "coroutines".
            observer: it only looks on: what `run` and `arun` raise of their own is a line in the log, what they return is not
                looked at, and the task has the verdict that it would have without them.

        Returns:
            What was given.

        Raises:
            ConfigurationError: it has none of these methods, they cannot be called so, or it cannot be around one of the tasks.

        Example:
            >>> from taskflow import TaskFlow
            >>> app = TaskFlow("shop")
            >>> @app.middleware
            ... def timed(task):
            ...     began = time.monotonic()
            ...     try:
            ...         yield
            ...     finally:
            ...         print(task.name, time.monotonic() - began)
        """
        if given is None:
            return _Decorator(self, around, observer)
        from .middleware import middleware_of
        from .outgoing import Outgoing

        made = middleware_of(given, around, observer=observer)
        known = self._middleware
        self._middleware = (*known, made)
        try:
            arounds = {name: self._around(task) for name, task in self.tasks.items()}
        except BaseException:
            self._middleware = known
            raise
        for name, around_it in arounds.items():
            self.tasks[name]._around = around_it
        outgoing = [one for one in self._middleware if one.enqueue is not None or one.aenqueue is not None]
        self._outgoing = Outgoing(self, outgoing) if outgoing else None
        return given

    def _around(self, task: BaseTask[Any, Any]) -> Around | None:
        """What is around a task; None: nothing is.

        Raises:
            ConfigurationError: one of them cannot be around a task of its kind.
        """
        if not self._middleware and task._injects is None:
            return None
        from .around import Around

        found = [one.wrap(task.name, is_async=task.is_async) for one in self._middleware]
        wraps = [wrap for wrap in found if wrap is not None]
        return Around(wraps, task._injects) if wraps or task._injects is not None else None


class _Decorator:
    """`@app.middleware(...)`, which gives back what it is put above."""

    def __init__(self, app: AppMiddleware, around: Which, observer: bool) -> None:
        self._app = app
        self._around = around
        self._observer = observer

    def __call__(self, given: M, /) -> M:
        return self._app.middleware(given, around=self._around, observer=self._observer)

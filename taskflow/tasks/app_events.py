"""An app and who listens to it: `@app.on(Succeeded)`."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeVar, overload

from ..errors import ConfigurationError
from ..telemetry.events import Event, Unexpected, WorkerStopped
from ..telemetry.telling import attach_in
from .app_broker import AppBroker
from .returned import is_coroutine_function

E = TypeVar("E", bound=Event)
F = TypeVar("F", bound=Event)

SIGNALS = {
    "before_task_publish": "a middleware with `enqueue(self, call, next)`",
    "after_task_publish": "@app.on(Enqueued)",
    "task_sent": "@app.on(Enqueued)",
    "task_received": "@app.on(Received)",
    "task_prerun": "@app.on(Started), or a middleware around the task",
    "task_postrun": "a middleware around the task, or @app.on(Succeeded, Retried, Archived)",
    "task_success": "@app.on(Succeeded)",
    "task_failure": "@app.on(Archived)",
    "task_retry": "@app.on(Retried)",
    "task_revoked": "@app.on(Cancelled)",
    "task_internal_error": "@app.on(Unwritable)",
    "task_unknown": "@app.on(PutBack)",
    "task_rejected": "@app.on(Unread)",
    "celeryd_init": "@app.on_child_start",
    "celeryd_after_setup": "@app.on_child_start",
    "worker_init": "@app.on_child_start",
    "worker_before_create_process": "nothing: a child is started anew, and imports the app",
    "worker_process_init": "@app.on_child_start",
    "worker_process_shutdown": "@app.on_child_stop",
    "worker_ready": "@app.on_worker_start",
    "worker_shutting_down": "@app.on_worker_stop",
    "worker_shutdown": "@app.on_worker_stop",
    "setup_logging": "@app.on_child_start, where logging is configured as the app wants it",
    "after_setup_logger": "@app.on_child_start",
    "after_setup_task_logger": "@app.on_child_start",
    "import_modules": "nothing: modules are imported as the app says",
    "user_preload_options": "nothing: options are the command's",
    "beat_init": "nothing yet: there is no scheduler",
    "beat_embedded_init": "nothing yet: there is no scheduler",
    "eventlet_pool_started": "nothing: coroutines run on an event loop",
    "eventlet_pool_preshutdown": "nothing: coroutines run on an event loop",
    "eventlet_pool_postshutdown": "nothing: coroutines run on an event loop",
    "eventlet_pool_apply": "nothing: coroutines run on an event loop",
}
"""Celery's signals, and what is here in their place. docs/events.md has the table."""


class AppEvents(AppBroker):
    """The part of an app that listens."""

    @overload
    def on(self, kind: type[E], /) -> Callable[[Callable[[E], object]], Callable[[E], object]]: ...
    @overload
    def on(
        self, kind: type[E], other: type[F], /
    ) -> Callable[[Callable[[E | F], object]], Callable[[E | F], object]]: ...
    @overload
    def on(self, *kinds: type[Event]) -> Callable[[Callable[..., object]], Callable[..., object]]: ...
    def on(self, *kinds: Any) -> Any:
        """Have a function told of events of this app: `@app.on(Succeeded)`.

        It is called where the fact is known: in the child that ran the task, in its thread or on its event loop, and in its
        context; `Enqueued` in the process that enqueues. What ends an attempt is told after its verdict was sent. A listener that
        raises costs a line in the log, and nothing else; one that takes its time takes it from the tasks.

        Args:
            *kinds: classes of `taskflow.events`; those below them count, too: `Archived` means `Expired` as well.

        Returns:
            A decorator that gives the function back; `off` takes it out again.

        Raises:
            ConfigurationError: it is no event that can be listened to, or the function is a coroutine function.

        Example:
            >>> from taskflow import TaskFlow
            >>> from taskflow.events import Archived
            >>> app = TaskFlow("shop")
            >>> @app.on(Archived)
            ... def warn(event: Archived) -> None:
            ...     print(event.task, event.id, type(event.error).__name__)
        """
        if not kinds:
            raise ConfigurationError(
                "@app.on() needs events: @app.on(Succeeded); they are in taskflow.events"
            )
        for kind in kinds:
            _check(kind)

        def listen(listener: Callable[..., object]) -> Callable[..., object]:
            if not callable(listener):
                raise ConfigurationError(
                    f"@app.on() stands in front of a function that takes an event, not {listener!r}"
                )
            if is_coroutine_function(listener):
                raise ConfigurationError(
                    f"{_name(listener)} is a coroutine function, and nobody awaits a listener: it is called between tasks; "
                    "make it a function, which may enqueue a task that awaits, or write a middleware with `arun`"
                )
            detach = attach_in(self._audience, listener, kinds)
            self._listeners.setdefault(listener, []).append(detach)
            # The classes of events are for the whole process, and an app may be gone before it.
            weakref.finalize(self, detach).atexit = False
            return listener

        return listen

    def off(self, listener: Callable[..., object]) -> None:
        """Tell this function of nothing any more. One that was not listening is left as it is."""
        for detach in self._listeners.pop(listener, ()):
            detach()


def _check(kind: Any) -> None:
    if isinstance(kind, str):
        found = SIGNALS.get(kind)
        raise ConfigurationError(
            f"events are classes, from taskflow.events, and not names such as {kind!r}"
            + (f"; in place of that signal of Celery's there is {found}" if found else ": @app.on(Succeeded)")
        )
    if isinstance(kind, type) and issubclass(kind, Event) and kind is not Unexpected:
        if kind is WorkerStopped:
            raise ConfigurationError(
                "WorkerStopped is told when the children, which have the app, have ended: listen to WorkerStopping, or use "
                "@app.on_worker_stop"
            )
        return
    raise ConfigurationError(
        f"@app.on() takes events, which are classes of taskflow.events: @app.on(Succeeded), not {_name(kind)}"
        + (
            "; write @app.on(Succeeded) above the function"
            if callable(kind) and not isinstance(kind, type)
            else ""
        )
    )


def _name(value: Any) -> str:
    return str(getattr(value, "__qualname__", type(value).__qualname__))

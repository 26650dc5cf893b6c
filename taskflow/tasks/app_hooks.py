"""An app and its processes: what is called when a child starts and stops, and when a worker does."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

from ..errors import ConfigurationError
from .app_broker import AppBroker

H = TypeVar("H", bound=Callable[[], Any])


class Moment(Enum):
    """When a hook is called."""

    CHILD_START = "on_child_start"
    CHILD_STOP = "on_child_stop"
    WORKER_START = "on_worker_start"
    WORKER_STOP = "on_worker_stop"


class AppHooks(AppBroker):
    """The part of an app that is called when its processes start and stop; `TaskFlow` sets what is declared here.

    All hooks are called in a child: the worker process imports no app. Each takes no argument; a coroutine function is run on
    the child's event loop. They are called in the order of their registration, those of a stop in reverse.
    """

    _process_hooks: dict[Moment, list[Callable[[], Any]]]

    def on_child_start(self, hook: H) -> H:
        """Call this in each child when it has imported the app, before it takes tasks; also in one that is started later.

        What it raises keeps the child from starting: it is in the log, and the next try is after a pause that grows. Where the
        first child of a command fails, the command ends with that error, as for an app that cannot be imported.

        Example:
            >>> @app.on_child_start                                         # doctest: +SKIP
            ... def warm_up() -> None:
            ...     load_model()
        """
        return self._hook(Moment.CHILD_START, hook)

    def on_child_stop(self, hook: H) -> H:
        """Call this in each child that is told to stop, after its last task; all of them, and `atexit`, have 3 s. A child that is
        killed, or crashes, does not get to it.
        """
        return self._hook(Moment.CHILD_STOP, hook)

    def on_worker_start(self, hook: H) -> H:
        """Call this once for a worker, in one of its children, when the worker is about to take its first tasks; they do not
        wait for it. What it raises is a line in the log.
        """
        return self._hook(Moment.WORKER_START, hook)

    def on_worker_stop(self, hook: H) -> H:
        """Call this once for a worker, in one of its children, when the worker begins to stop: it takes no more tasks, and those
        that run have their grace. What it raises is a line in the log.
        """
        return self._hook(Moment.WORKER_STOP, hook)

    def _hook(self, moment: Moment, hook: H) -> H:
        name = str(getattr(hook, "__qualname__", type(hook).__qualname__))
        if not callable(hook):
            raise ConfigurationError(f"@app.{moment.value} stands above a function, without parentheses")
        if inspect.isgeneratorfunction(hook) or inspect.isasyncgenfunction(hook):
            raise ConfigurationError(
                f"{name} is a generator function, and @app.{moment.value} calls functions: what is made at the start and closed "
                "at the stop is a resource, @app.resource(start=True)"
            )
        try:
            inspect.signature(hook).bind()
        except TypeError:
            raise ConfigurationError(f"{name} is called without arguments by @app.{moment.value}") from None
        except ValueError:
            pass  # it has no signature that could be read: of something written in C
        self._process_hooks.setdefault(moment, []).append(hook)
        return hook

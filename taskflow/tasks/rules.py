"""`task_routes` and `task_annotations`: what an app says of tasks by their names, as in Celery."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import translate
from importlib import import_module
from typing import Any

from ..broker.commands.enqueue import NewTask, Terms
from ..errors import InvalidOption
from ..options import Scope, TaskOptions, merge
from .hooks import NAMES
from .sender import CallMaker

Router = Callable[..., Any]
"""Celery's: `(name, args, kwargs, options, task=None, **others)` gives a queue, a dict with `queue`, or None."""
Route = Mapping[str, Any]
Pattern = str | re.Pattern[str]

_AFTER = frozenset(NAMES) - {"before_start"}


class NoQueueGiven(str):
    """The name of the default queue, where neither the task nor the call has named one: a router decides."""

    __slots__ = ()


class Routes:
    """Where tasks go that do not say so themselves.

    Args:
        given: a dict of names, of patterns with `*`, or of compiled patterns, each with a queue or options; a function; the
            dotted name of one; or a sequence of these, of which the first that answers counts.

    Raises:
        InvalidOption: it is something else, or a route says what it cannot.
    """

    def __init__(self, given: Any) -> None:
        self._routers: list[Mapping[Pattern, Route] | Router] = [_router(one) for one in _several(given)]
        self.asks = any(callable(one) for one in self._routers)
        """Whether functions decide, so that each call has to be looked at."""

    def of(self, name: str) -> TaskOptions:
        """The options that a task has by its name."""
        for one in self._routers:
            if isinstance(one, Mapping) and (found := _match(one, name)) is not None:
                return TaskOptions.of(found, Scope.TASK)
            if callable(one):
                break  # it is asked with each call, before those that come after it
        return TaskOptions()

    def queues(self) -> list[str]:
        """The queues that routes name; what functions will say is not known."""
        routes = [route for one in self._routers if isinstance(one, Mapping) for route in one.values()]
        return [queue for route in routes if (queue := TaskOptions.of(route, Scope.TASK).queue)]

    def queue_of(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], queue: str, task: Any
    ) -> str | None:
        """Where a call goes; None: no router says."""
        for one in self._routers:
            if isinstance(one, Mapping):
                route = _match(one, name)
            else:
                answer = one(name, args, kwargs, {"queue": None}, task=task)
                route = {"queue": answer} if isinstance(answer, str) else answer
            if route:
                return TaskOptions.of(route, Scope.TASK).queue or queue
        return None

    def watch(self, task: CallMaker[Any, Any], defaults: TaskOptions) -> TaskOptions:
        """Ask the routers about each call of a task for which neither its declaration nor the call names a queue.

        Args:
            task: the task.
            defaults: what holds for it.

        Returns:
            The same, with a queue that says that none was named.
        """
        make = type(task)._make_call

        def routed(
            args: Sequence[Any], kwargs: Mapping[str, Any], options: TaskOptions, terms: Terms | None = None
        ) -> NewTask:
            if not isinstance(options.queue, NoQueueGiven):
                return make(task, args, kwargs, options, terms)
            default = str(options.queue)
            queue = self.queue_of(task.name, args, kwargs, default, task) or default
            return make(task, args, kwargs, replace(options, queue=queue))

        task._make_call = routed  # type: ignore[method-assign]
        return merge(defaults, TaskOptions(queue=NoQueueGiven(defaults.queue)))


class Annotations:
    """What an app says of tasks by their names, over what their declarations say.

    Args:
        given: a dict of names, or `"*"` for all, each with options and hooks; or a sequence of such.

    Raises:
        InvalidOption: it is something else.
    """

    def __init__(self, given: Any) -> None:
        self._given = [_checked(one) for one in _several(given)]

    def of(self, name: str) -> tuple[dict[str, Any], dict[str, Callable[..., Any]]]:
        """The options, and the hooks, of a task."""
        found: dict[str, Any] = {}
        for one in self._given:
            found |= {**one.get("*", {}), **one.get(name, {})}
        return (
            {key: value for key, value in found.items() if key not in _AFTER},
            {key: value for key, value in found.items() if key in _AFTER},
        )


def _several(given: Any) -> Iterable[Any]:
    return given if isinstance(given, list | tuple) and not _is_pairs(given) else [given]


def _is_pairs(given: Any) -> bool:
    return bool(given) and all(isinstance(one, tuple) and len(one) == 2 for one in given)


def _router(given: Any) -> Mapping[Pattern, Route] | Router:
    if isinstance(given, list | tuple) and _is_pairs(given):
        given = dict(given)
    if isinstance(given, str):
        module, _, name = given.replace(":", ".").rpartition(".")
        given = getattr(import_module(module), name)
    if callable(given):
        return given  # type: ignore[no-any-return]
    if not isinstance(given, Mapping):
        raise InvalidOption(
            f"task_routes takes a dict of names and patterns, a function, or a list of these, not {type(given).__name__}"
        )
    routes: dict[Pattern, Route] = {}
    for pattern, route in given.items():
        route = {"queue": route} if isinstance(route, str) else route
        if not isinstance(route, Mapping):
            raise InvalidOption(
                f"the route of {pattern!r} is a queue or a dict of options, not {type(route).__name__}"
            )
        TaskOptions.of(route, Scope.TASK)  # so that what cannot be is refused here
        routes[re.compile(translate(pattern)) if isinstance(pattern, str) and "*" in pattern else pattern] = (
            route
        )
    return routes


def _match(routes: Mapping[Pattern, Route], name: str) -> Route | None:
    """The route of a name: its own before those of patterns, and of these the first."""
    if name in routes:
        return routes[name]
    patterns = ((one, route) for one, route in routes.items() if isinstance(one, re.Pattern))
    return next((route for one, route in patterns if one.match(name)), None)


def _checked(given: Any) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(given, Mapping) or not all(isinstance(one, Mapping) for one in given.values()):
        raise InvalidOption(
            'task_annotations takes a dict of names, or "*", each with a dict of options, or a list of such dicts'
        )
    if any("before_start" in one for one in given.values()):
        raise InvalidOption(
            "task_annotations cannot have before_start: write it in a class, @app.task(base=Mine)"
        )
    return given

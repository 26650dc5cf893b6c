"""An app and its tasks: how functions become tasks, how they are found, and which of them are joined."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Literal, ParamSpec, TypeVar, Unpack, overload

from ..errors import ConfigurationError, InvalidSignature, TaskAlreadyRegistered, TaskNotRegistered
from ..message.ids import check_queue_name, check_task_name
from ..options import Declaration, merge
from ..partitions import check_own_queue
from .aggregation import Aggregation, aggregation
from .app_depends import AppDepends
from .app_results import AppResults
from .declaration import BaseBindDecorator, BindDecorator, Decorator, described, is_same, name_of
from .discovery import Discovery, Packages
from .first_line import check
from .given import overlay, take_apart
from .returned import is_coroutine_function, refuse_generators
from .task import AsyncTask, BaseTask, Task

P = ParamSpec("P")
R = TypeVar("R")


class AppTasks(AppDepends, AppResults):
    """The part of an app that has its tasks; `TaskFlow` sets what is declared here."""

    _aggregations: dict[str, Aggregation]
    _task_class: type[Any] | None
    """What tasks without `base=` are made of; None: `Task`."""
    _discoveries: list[Discovery]
    _has_rules: bool
    """Whether it has settings that say something of tasks."""

    @overload
    def task(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        self,
        function: None = None,
        /,
        *,
        bind: Literal[True],
        base: type[Any],
        **options: Unpack[Declaration],
    ) -> BaseBindDecorator: ...
    @overload
    def task(
        self,
        function: None = None,
        /,
        *,
        bind: Literal[True],
        base: None = None,
        **options: Unpack[Declaration],
    ) -> BindDecorator: ...
    @overload
    def task(
        self,
        function: None = None,
        /,
        *,
        bind: Literal[False] = False,
        base: type[Any] | None = None,
        **options: Unpack[Declaration],
    ) -> Decorator: ...
    def task(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        bind: bool = False,
        base: type[Any] | None = None,
        **options: Any,
    ) -> Any:
        """Make a function a task: `@app.task` or `@app.task(queue="images", ...)`.

        Args:
            function: the function, when used without parentheses, or as `app.task(function, queue="images")`.
            bind: give the running task (`CurrentTask`) as the first argument.
            base: a class of your own, derived from `taskflow.Task`: the task is an instance of it, and so is the first argument
                with `bind`. See docs/celery.md.
            **options: see `Declaration`. `name` is `module.function` unless given.

        Returns:
            A `Task` (an `AsyncTask` for a coroutine function), which can still be called as the function.

        Raises:
            InvalidSignature: the function has `*args` or positional-only parameters, or types that cannot
                travel.
            UnknownOption: there is no such option.
            TaskAlreadyRegistered: another function has this name.
        """
        if function is not None:
            return self._register(function, bind=bind, base=base, options=options)
        return lambda decorated: self._register(decorated, bind=bind, base=base, options=options)

    def _register(
        self, function: Callable[..., Any], *, bind: bool, base: type[Any] | None, options: dict[str, Any]
    ) -> BaseTask[Any, Any]:
        if isinstance(function, BaseTask) or not callable(function):
            raise InvalidSignature(f"a task is made from a function, not from {type(function).__name__}")
        base = base or self._task_class
        given = dict(options)
        name = given.pop("name", None)
        written = given if base is None else overlay(_base().options_of(base), given)
        parts = take_apart(written)
        layer = merge(self._defaults, parts.layer)
        name = check_task_name(name or name_of(function))
        self._refuse_second(name, function)
        refuse_generators(function)
        is_async = is_coroutine_function(function)
        injected = self._injected(function, name)
        declared = (self, function, name, layer, parts.policy)
        how: dict[str, Any] = {"bind": bind, "throws": parts.throws, "injected": frozenset(injected)}
        task: BaseTask[Any, Any]
        if base is None:
            task = (AsyncTask if is_async else Task)(*declared, **how)
        else:
            task = _base().made_of(base, declared, is_async=is_async, **how)
        task._written = written
        if self._has_rules:
            self._lay(task)
        task._injects = self._injection(injected, name, is_async=is_async)
        task._around = self._around(task)
        if bind:
            check(function, name, base)
        self.tasks[name] = task
        return task

    def _lay(self, task: BaseTask[Any, Any]) -> None:
        """Give a task the options that the app's rules make of its declaration (`AppCelery`)."""
        raise NotImplementedError

    def _refuse_second(self, name: str, function: Callable[..., Any]) -> None:
        known = self.tasks.get(name)
        if known is not None and not is_same(known.function, function):
            raise TaskAlreadyRegistered(
                f"two functions claim the task name {name!r}: {described(known.function)} and "
                f"{described(function)}; give one of them another name="
            )

    def aggregate(
        self,
        into: BaseTask[Any, Any],
        *,
        queue: str | None = None,
        grace: float | timedelta = 60,
        max_delay: float | timedelta = 0,
        max_size: int = 0,
    ) -> None:
        """Join the waiting tasks of each aggregation group of a queue into one call of `into`.

        Tasks get into a group by the option `group` (or by `asynq.Group` in Go). Workers of the queue look at its groups
        once a second; when one is ripe, one call takes the place of its tasks in one atomic step: none is joined twice or
        lost. With keys a child of the worker checks and opens the tasks and closes the call; what it would not run is not joined
        either, but archived unread.

        Args:
            into: a task with the parameters `group: str` and `items: list`; an item is what one joined task would have got
                as its arguments: an object, or text when it is not JSON. At most 200 items.
            queue: whose groups; without it, the queue of `into`.
            grace: seconds without a new task after which a group is ripe.
            max_delay: seconds after which it is ripe although tasks keep coming; 0: no limit.
            max_size: tasks with which it is ripe at once; 0: no limit.

        Raises:
            ConfigurationError: the queue has a rule already, `into` does not take these parameters, or a number cannot be.

        Example:
            >>> from taskflow import TaskFlow
            >>> app = TaskFlow("news")
            >>> @app.task(queue="mail")
            ... def send(to: int) -> None: ...
            >>> @app.task(queue="mail")
            ... def send_many(group: str, items: list[dict[str, int]]) -> None: ...
            >>> app.aggregate(send_many, grace=10, max_size=100)
            >>> send.options(group="digest").delay(to=1)           # doctest: +SKIP
        """
        queue = check_own_queue(check_queue_name(queue or into.queue))
        if queue in self._aggregations:
            raise ConfigurationError(
                f"the groups of queue {queue!r} are aggregated already; a queue has one rule, so leave out one of the calls"
            )
        self._aggregations[queue] = aggregation(
            into, queue, grace=grace, max_delay=max_delay, max_size=max_size
        )

    def get_task(self, name: str) -> BaseTask[Any, Any]:
        """The task of this name.

        Raises:
            TaskNotRegistered: the app has none.
        """
        if name not in self.tasks:
            self._discover()
        try:
            return self.tasks[name]
        except KeyError:
            raise TaskNotRegistered(name) from None

    def autodiscover_tasks(
        self, packages: Packages = None, related_name: str | None = "tasks", *, force: bool = False
    ) -> None:
        """Import `package.tasks` of each package that has one, so that their tasks are registered.

        Args:
            packages: names of importable packages, or paths of Django's `AppConfig`s: what `INSTALLED_APPS` holds. Or a
                function that gives them; it is called when a worker has loaded the app, or a task is first asked for by
                its name. Without it, the apps that Django has installed, as soon as Django is set up; a worker sets it up.
            related_name: the module to look for; None imports the packages themselves.
            force: call the function, and set Django up, at once.

        Raises:
            ConfigurationError: a package does not exist; or none is given and Django is not configured.

        Example:
            >>> app.autodiscover_tasks(["shop", "blog.apps.BlogConfig"])       # doctest: +SKIP
            >>> app.autodiscover_tasks(lambda: settings.INSTALLED_APPS)        # doctest: +SKIP
        """
        discovery = Discovery(packages, related_name)
        discovery.check()
        if discovery.waits and not force:
            self._discoveries.append(discovery)
        else:
            discovery.run()

    def _discover(self) -> None:
        """Import what `autodiscover_tasks` has put off. A worker does so when it has loaded the app."""
        while self._discoveries:
            # Taken out first: what is imported may ask for tasks.
            self._discoveries.pop(0).run()


def _base() -> Any:
    """What makes tasks of classes of the user's."""
    # Only here: most apps have none.
    from . import base

    return base

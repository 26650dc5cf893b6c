"""An app and its tasks: how functions become tasks, how they are found, and which of them are joined."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Literal, ParamSpec, TypeVar, Unpack, overload

from ..errors import ConfigurationError, InvalidSignature, TaskAlreadyRegistered, TaskNotRegistered
from ..message.ids import check_queue_name, check_task_name
from ..options import POLICY, Declaration, Scope, TaskOptions, merge
from ..partitions import check_own_queue
from ..retry import RetryPolicy
from .aggregation import Aggregation, aggregation
from .app_broker import AppBroker
from .declaration import BindDecorator, Decorator, described, is_same, name_of
from .discovery import Discovery, Packages
from .result import AsyncResult
from .returned import is_coroutine_function, refuse_generators
from .task import AsyncTask, BaseTask, Task

P = ParamSpec("P")
R = TypeVar("R")


class AppTasks(AppBroker):
    """The part of an app that has its tasks; `TaskFlow` sets what is declared here."""

    _aggregations: dict[str, Aggregation]
    _discoveries: list[Discovery]

    @overload
    def task(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        self, function: None = None, /, *, bind: Literal[True], **options: Unpack[Declaration]
    ) -> BindDecorator: ...
    @overload
    def task(
        self, function: None = None, /, *, bind: Literal[False] = False, **options: Unpack[Declaration]
    ) -> Decorator: ...
    def task(
        self, function: Callable[..., Any] | None = None, /, *, bind: bool = False, **options: Any
    ) -> Any:
        """Make a function a task: `@app.task` or `@app.task(queue="images", ...)`.

        Args:
            function: the function, when used without parentheses.
            bind: give the running task (`CurrentTask`) as the first argument.
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
            return self._register(function, bind=False, options={})
        return lambda decorated: self._register(decorated, bind=bind, options=options)

    def _register(
        self, function: Callable[..., Any], *, bind: bool, options: dict[str, Any]
    ) -> BaseTask[Any, Any]:
        if isinstance(function, BaseTask) or not callable(function):
            raise InvalidSignature(f"a task is made from a function, not from {type(function).__name__}")
        given = dict(options)
        name = given.pop("name", None)
        policy = RetryPolicy.of(**{key: given.pop(key) for key in POLICY if key in given})
        own = merge(self._defaults, TaskOptions.of(given, Scope.TASK))
        name = check_task_name(name or name_of(function))
        self._refuse_second(name, function)
        refuse_generators(function)
        kind = AsyncTask if is_coroutine_function(function) else Task
        task: BaseTask[Any, Any] = kind(self, function, name, own, policy, bind=bind)
        self.tasks[name] = task
        return task

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

    def send(self, name: str, /, **kwargs: Any) -> AsyncResult[Any]:
        """Enqueue a registered task by its name.

        Raises:
            TaskNotRegistered: the app has no task of this name.
        """
        return self.get_task(name).delay(**kwargs)

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

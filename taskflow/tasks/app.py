"""`TaskFlow`: the app that tasks belong to."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, Unpack, overload

from ..broker.commands.enqueue import NewTask
from ..client.bulk import EnqueueOutcome
from ..connection.url import parse
from ..errors import (
    BrokerUnavailable,
    ConfigurationError,
    InvalidOption,
    InvalidSignature,
    TaskAlreadyRegistered,
    TaskFlowError,
    TaskNotRegistered,
)
from ..message.ids import check_queue_name, check_task_id, check_task_name
from ..message.message_crypto import MessageCrypto
from ..options import BOTTOM, DEFAULT_QUEUE, POLICY, Declaration, Defaults, Scope, TaskOptions, merge
from ..partitions import QueueOptions, check_own_queue, check_queues, partition_name
from ..retry import RetryPolicy
from .aggregation import Aggregation, aggregation
from .batch import Batch, current_batch, gather
from .by_value import CALL, CALL_ASYNC, AsyncSubmit, ByValueTask, Submit
from .declaration import BindDecorator, Decorator, described, is_same, name_of
from .discovery import Discovery, Packages
from .mapping import Progress
from .registry import register
from .result import AsyncResult
from .returned import is_coroutine_function, refuse_generators
from .task import AsyncTask, BaseTask, OnHandles, Task

if TYPE_CHECKING:
    from ..client.client import Client
    from ..inspector import AsyncInspector, Inspector
    from .eager import Eager

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_MAX_PAYLOAD = 1024 * 1024


class TaskFlow:
    """An app: its tasks, and the broker that they go through.

    Args:
        name: for logs and banners.
        broker: the broker's URL (see `taskflow.connection.url.parse`). Without it `TASKFLOW_BROKER`, and
            without that `embedded://`: a server of the machine's own, started when it is first needed.
        include: modules to import before work starts, for tasks that nothing else imports.
        max_payload: bytes that the encoded arguments of one call may have.
        eager: run tasks where they are enqueued, for tests, with all that a worker would decide. See docs/eager.md.
        eager_propagates: in eager mode, raise at `.delay()` the exception with which a task is archived, instead of keeping
            it for `.get()`.
        signing_keys: secrets of 16 bytes or more. The first signs what is enqueued; workers run only what one
            of them has signed, and archive everything else unread. Without it `TASKFLOW_SIGNING_KEYS`
            (separated by commas). Needed for `submit`. See docs/security.md.
        encryption_keys: secrets of 16 bytes or more. The first encrypts arguments and results, every one of
            them decrypts. Without it `TASKFLOW_ENCRYPTION_KEYS`. Needs the extra `crypto`.
        accept_unsigned_results: with keys, `get()` refuses a result that nobody with these keys has written; True takes
            one that is not signed (or, with encryption keys alone, not encrypted), as workers in Go write it.
        error_text: keep the text of a task's exceptions as its error, for `TaskFailed` and the tools; False
            keeps the exception's type only. (Logs never have the text.)
        queues: options of queues by name, as `{"images": {"partitions": 6}}`: that queue's tasks are spread over six key
            slots, so over several nodes of a cluster. See docs/partitions.md.
        **defaults: options for every task, such as `queue`, `max_retries`, `retention`, `enqueue_timeout`.

    Attributes:
        submit: enqueues a call of any function by value: `app.submit(lambda: crunch(1))`; with options,
            `app.submit.options(retention=600)(crunch, 1)`. Only with signing keys. See `Submit`.
        asubmit: the same from a coroutine.

    Raises:
        InvalidBrokerURL: the URL cannot be understood.
        InvalidOption: a key is too short, or given twice; a variable for keys is set and holds none; or a queue cannot have
            so many partitions.
        UnknownOption: there is no such option, or it is for one call (`id`, `eta`, `expires`, ...).

    Example:
        >>> from taskflow import TaskFlow
        >>> app = TaskFlow("shop", broker="redis+cluster://127.0.0.1:7000,127.0.0.1:7001")
        >>> @app.task(queue="images", name="images:resize", max_retries=5, timeout=30)
        ... def resize(src: str, width: int = 800) -> str:
        ...     return f"{src} at {width}"
        >>> resize("a.png")
        'a.png at 800'
        >>> resize.delay("a.png")          # doctest: +SKIP
        AsyncResult(id='…', queue='images')
    """

    def __init__(
        self,
        name: str = "taskflow",
        *,
        broker: str | None = None,
        include: Sequence[str] = (),
        max_payload: int = DEFAULT_MAX_PAYLOAD,
        eager: bool = False,
        eager_propagates: bool = False,
        signing_keys: Sequence[str | bytes] | None = None,
        encryption_keys: Sequence[str | bytes] | None = None,
        accept_unsigned_results: bool = False,
        error_text: bool = True,
        queues: Mapping[str, QueueOptions] | None = None,
        **defaults: Unpack[Defaults],
    ) -> None:
        if isinstance(max_payload, bool) or not isinstance(max_payload, int) or max_payload < 2:
            raise InvalidOption("max_payload must be a number of bytes, from 2")
        layer = TaskOptions.of(defaults, Scope.APP)
        if broker is not None:
            parse(broker)
        self.name = name
        self._include = tuple(include)
        self._max_payload = max_payload
        self.eager = eager
        self.eager_propagates = eager_propagates
        self._error_text = error_text
        self._partitions = check_queues(queues)
        """The number of partitions, by the names of the queues that were given options."""
        for queue, count in self._partitions.items():
            check_queue_name(queue)
            check_queue_name(partition_name(queue, count - 1))
        self._crypto = MessageCrypto.of(
            signing_keys,
            encryption_keys,
            signing_environment=os.environ.get("TASKFLOW_SIGNING_KEYS"),
            encryption_environment=os.environ.get("TASKFLOW_ENCRYPTION_KEYS"),
            accept_unsigned_results=accept_unsigned_results,
        )
        self.tasks: dict[str, BaseTask[Any, Any]] = {}
        self._aggregations: dict[str, Aggregation] = {}
        self._discoveries: list[Discovery] = []
        self._broker = broker
        self._client: Client | None = None
        self._eager: Eager | None = None
        register(self)
        self._defaults = merge(BOTTOM, layer)
        if self._crypto is not None and self._crypto.signs:
            for by_value in (CALL, CALL_ASYNC):
                self.tasks[by_value] = ByValueTask(self, by_value, self._defaults, self.tasks)
        self.submit = Submit(self.tasks)
        self.asubmit = AsyncSubmit(self.tasks)

    def __repr__(self) -> str:
        return f"<TaskFlow {self.name!r} broker={str(parse(self.broker_url))!r} tasks={len(self.tasks)}>"

    def __reduce__(self) -> str:
        raise TypeError("an app holds connections and keys, so it cannot be pickled")

    @property
    def broker_url(self) -> str:
        """The broker's URL, with its password: never log it."""
        return self._broker or os.environ.get("TASKFLOW_BROKER") or "embedded://"

    def use_broker(self, url: str) -> None:
        """Use another broker from now on; `taskflow worker -b URL` does so for its tasks' own calls.

        Raises:
            InvalidBrokerURL: the URL cannot be understood.
        """
        parse(url)
        self.close()
        self._broker = url
        self._client = None

    @property
    def client(self) -> Client:
        """What this app enqueues with."""
        if self._client is None:
            # Only here: redis-py takes its time, and a child whose tasks enqueue nothing has no use for it.
            try:
                from ..client.client import Client
            except ImportError as error:
                if "taskflow.client.client" not in sys.modules:
                    raise
                raise BrokerUnavailable(
                    "the first call was made by code that has interrupted the import of the client (a signal handler or a "
                    "finalizer); make a call, or read app.client, before signals come"
                ) from error
            self._client = Client(self.broker_url, self._crypto, self._partitions, app=self.name)
        return self._client

    @property
    def inspector(self) -> Inspector:
        """Reads and administers this app's queues, tasks and workers, and what others have in them; with its keys, if it has any.

        Example:
            >>> app.inspector.queue("images").pending                    # doctest: +SKIP
            3
        """
        # Only here, as below: an app that enqueues has no use for it.
        from ..inspector import Inspector

        return Inspector(self.client.broker, self._crypto)

    @property
    def ainspector(self) -> AsyncInspector:
        """The same from coroutines: `await app.ainspector.queue("images")`."""
        from ..inspector import AsyncInspector

        return AsyncInspector(lambda: self.client.async_broker, self._crypto)

    @property
    def _runs_here(self) -> Eager:
        """What runs tasks in eager mode."""
        if self._eager is None:
            # Only here: programs that enqueue have no use for what runs tasks, nor for asyncio.
            from .eager import Eager

            self._eager = Eager(self.name, self.tasks, self._crypto, error_text=self._error_text)
        return self._eager

    # --- tasks ----------------------------------------------------------------------------------------------

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

    def result(self, task_id: str, *, queue: str | None = None) -> AsyncResult[Any]:
        """A handle on a task that was enqueued elsewhere, by Python or by Go. Its result is what its JSON holds: whose it is
        is not known here. In eager mode, on a task that this app has run.

        Args:
            task_id: its id.
            queue: its queue; ids are unique within a queue only. Without it, the app's default queue. Of a queue with
                partitions all are asked, unless one is named.
        """
        queue = check_queue_name(queue or self._defaults.queue or DEFAULT_QUEUE)
        check_task_id(task_id)
        if self.eager:
            return self._runs_here.result(task_id, queue)
        return AsyncResult(self.client, task_id, queue, partitions=self._partitions.get(queue, 0))

    def batch(self, *, raise_errors: bool = True, progress: Progress | None = None) -> Batch:
        """Gather the calls of a block and send them together at its end: `with app.batch() as batch:`, or `async with`.

        In the block `.delay()` and its like check their arguments and give their handle, but send nothing; if the block
        raises, nothing is sent at all. See `Batch`.

        Args:
            raise_errors: raise `EnqueueError` at the end of the block if a call was not enqueued. With False look at
                `batch.outcomes.failed`.
            progress: called as for `map`: `progress(done, total)`, after each chunk.

        Returns:
            The batch; after the block its `outcomes` say what became of each call. In eager mode tasks run at once, as ever,
            and a batch stays empty.

        Example:
            >>> with app.batch():                                   # doctest: +SKIP
            ...     for user in users:
            ...         welcome.delay(user.id)
        """
        return Batch(self, raise_errors=raise_errors, progress=progress)

    def close(self) -> None:
        """Close the idle connections of threads. The app can be used again."""
        if self._client is not None:
            self._client.close()

    async def aclose(self) -> None:
        """Close the idle connections of the running event loop."""
        if self._client is not None:
            await self._client.aclose()

    # --- what tasks enqueue with ----------------------------------------------------------------------------

    def _enqueue(self, task: BaseTask[Any, Any], new: NewTask, timeout: float) -> AsyncResult[Any]:
        """Enqueue one prepared call; used by `task.delay`."""
        if self.eager:
            return self._runs_here.run(task, new, propagate=self.eager_propagates)
        if current_batch() is not None and (gathered := gather(self, task, new, timeout)) is not None:
            return gathered
        return self._handle(task, new, (self._client or self.client).enqueue(new, timeout))

    async def _aenqueue(self, task: BaseTask[Any, Any], new: NewTask, timeout: float) -> AsyncResult[Any]:
        """As `enqueue`, from a coroutine."""
        if self.eager:
            return await self._runs_here.arun(task, new, propagate=self.eager_propagates)
        if current_batch() is not None and (gathered := gather(self, task, new, timeout)) is not None:
            return gathered
        return self._handle(task, new, await (self._client or self.client).aenqueue(new, timeout))

    def _enqueue_many(
        self, task: BaseTask[Any, Any], new: Iterable[NewTask], timeout: float, on_handles: OnHandles
    ) -> None:
        """Enqueue prepared calls as they come; used by `task.map`."""
        if self.eager:
            for one in new:
                on_handles([self._runs_here.run(task, one, propagate=self.eager_propagates)])
            return
        self.client.enqueue_many(
            new, timeout, lambda tasks, outcomes: on_handles(self._handles(task, tasks, outcomes))
        )

    async def _aenqueue_many(
        self, task: BaseTask[Any, Any], new: Iterable[NewTask], timeout: float, on_handles: OnHandles
    ) -> None:
        """As `enqueue_many`, from a coroutine."""
        if self.eager:
            for one in new:
                on_handles([await self._runs_here.arun(task, one, propagate=self.eager_propagates)])
            return
        await self.client.aenqueue_many(
            new, timeout, lambda tasks, outcomes: on_handles(self._handles(task, tasks, outcomes))
        )

    def _handle(self, task: BaseTask[Any, Any], new: NewTask, outcome: EnqueueOutcome) -> AsyncResult[Any]:
        new = outcome.task or new
        message = new.terms.message
        return AsyncResult(
            self._client or self.client,
            new.id,
            message.queue,
            retention=message.retention,
            durable=outcome.durable,
            task=task,
        )

    def _handles(
        self, task: BaseTask[Any, Any], new: Sequence[NewTask], outcomes: Sequence[EnqueueOutcome]
    ) -> list[AsyncResult[Any] | TaskFlowError]:
        return [
            outcome.error or self._handle(task, one, outcome)
            for one, outcome in zip(new, outcomes, strict=True)
        ]

"""`Sender`: from the call of a task to its message, and on to the app."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, ParamSpec, TypeVar, Unpack

from ..broker.commands.enqueue import NewTask, Terms
from ..errors import ConfigurationError, InvalidArguments
from ..message.ids import new_id
from ..message.returns import Returns
from ..message.signature import Signature
from ..message.task_message import TaskMessage, unique_key
from ..options import Options, TaskOptions, build_message, merge, refuse_for_map
from .backend import Backend
from .mapping import Mapped, MapResult, Progress
from .result import AsyncResult

P = ParamSpec("P")
R = TypeVar("R")


class Sender(Generic[P, R]):
    """Enqueues calls of one task with one set of options. A task is one; `.options(...)` makes others."""

    _on_commit: bool | str = False
    """Whether its calls wait for the commit of a transaction; of which database."""

    def __init__(self, task: CallMaker[P, R] | None, options: TaskOptions) -> None:
        self._task: CallMaker[P, R] = task if task is not None else self  # type: ignore[assignment]
        self._options = options
        self._timeout: float = options.enqueue_timeout  # type: ignore[assignment] # the app sets it
        self._terms: Terms | None = None
        self._used = False

    def options(self, **options: Unpack[Options]) -> Sender[P, R]:
        """The same task with other options, for one or more calls.

        Args:
            **options: see `taskflow.Options`; seconds unless they are datetimes.

        Raises:
            UnknownOption: there is no such option (a `TypeError`).
            InvalidOption: a value cannot be.

        Example:
            >>> resize.options(delay=60, queue="slow").delay("a.png")   # doctest: +SKIP
        """
        return Sender(self._task, merge(self._options, TaskOptions.of(options)))

    def delay(self, /, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Enqueue a call of the task with these arguments.

        Returns:
            A handle. Once it is returned, the task is run to a verdict (docs/guarantees.md).

        Raises:
            InvalidArguments: an argument is missing, unknown, of the wrong type, or cannot travel as JSON.
            PayloadTooLarge: the arguments are over the app's limit.
            DuplicateTask: with `unique`, an equal task is enqueued already.
            TaskIdConflict: with `id`, the queue has a task of this id.
            BrokerUnavailable: no answer within the app's `enqueue_timeout`; its `task_id` makes a repetition
                safe.
        """
        return self._delay(args, kwargs)

    async def adelay(self, /, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """As `delay`, from a coroutine."""
        return await self._adelay(args, kwargs)

    def apply_async(
        self,
        args: Sequence[Any] | None = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> AsyncResult[R]:
        """Enqueue a call, Celery's way: the arguments in a tuple and a dict, the options beside them.

        Example:
            >>> resize.apply_async(("a.png",), {"width": 100}, countdown=60)   # doctest: +SKIP
        """
        return self.options(**options)._delay(*self._given(args, kwargs))

    async def aapply_async(
        self,
        args: Sequence[Any] | None = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> AsyncResult[R]:
        """As `apply_async`, from a coroutine."""
        return await self.options(**options)._adelay(*self._given(args, kwargs))

    def map(
        self, calls: Iterable[Sequence[Any] | Mapping[str, Any]], *, progress: Progress | None = None
    ) -> MapResult[R]:
        """Enqueue many calls in few round trips.

        The calls are sent as they come, a chunk being made while the one before is under way: `calls` may be a generator
        that is longer than memory. If it raises, so does `map`, and the calls before have been enqueued.

        Args:
            calls: for each call its positional arguments as a tuple, or its arguments by name as a dict.
            progress: called after each chunk as `progress(done, total)`: how many calls have an outcome, and how many
                there are, or None where `calls` has no length.

        Returns:
            An outcome for each call, in order. Nothing is raised for a single call: look at `failed`, or call
            `raise_for_errors()`.

        Raises:
            UnknownOption: the options have an `id`, which is for one call.

        Example:
            >>> resize.map((f"{n}.png",) for n in range(100_000)).raise_for_errors()    # doctest: +SKIP
        """
        refuse_for_map(self._options)
        mapping: Mapped[R] = Mapped(self._prepare, self._task.name, calls, progress)
        self._task._backend._enqueue_many(self._task, mapping.new(), self._timeout, mapping.on_handles)
        return mapping.result()

    async def amap(
        self, calls: Iterable[Sequence[Any] | Mapping[str, Any]], *, progress: Progress | None = None
    ) -> MapResult[R]:
        """As `map`, from a coroutine; other coroutines run between the chunks."""
        refuse_for_map(self._options)
        mapping: Mapped[R] = Mapped(self._prepare, self._task.name, calls, progress)
        await self._task._backend._aenqueue_many(self._task, mapping.new(), self._timeout, mapping.on_handles)
        return mapping.result()

    def delay_on_commit(self, /, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """As `delay`, once the transaction is committed that is open here; at once where none is. Where it is rolled back, never.

        For an app of a framework that knows of transactions: Django's (docs/django.md). Unlike Celery's it gives a handle, whose
        id can be kept in the same transaction.

        Raises:
            ConfigurationError: the app is of no such framework.
        """
        return self._waiting()._delay(args, kwargs)

    async def adelay_on_commit(self, /, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """As `delay_on_commit`, from a coroutine."""
        return await self._waiting()._adelay(args, kwargs)

    def apply_async_on_commit(
        self,
        args: Sequence[Any] | None = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        using: str | None = None,
        **options: Unpack[Options],
    ) -> AsyncResult[R]:
        """As `delay_on_commit`, Celery's way: the arguments in a tuple and a dict, the options beside them.

        Args:
            args: positional arguments.
            kwargs: arguments by name.
            using: the database whose commit is waited for, where there are several.
            **options: as for `apply_async`.
        """
        return self.options(**options)._waiting(using)._delay(*self._given(args, kwargs))

    async def aapply_async_on_commit(
        self,
        args: Sequence[Any] | None = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        using: str | None = None,
        **options: Unpack[Options],
    ) -> AsyncResult[R]:
        """As `apply_async_on_commit`, from a coroutine."""
        return await self.options(**options)._waiting(using)._adelay(*self._given(args, kwargs))

    # --------------------------------------------------------------------------------------------------------

    def _waiting(self, using: str | None = None) -> Sender[P, R]:
        """The same, whose calls wait for a commit."""
        if self._task._backend._outgoing is None:
            raise no_transactions(self._task.name)
        waiting = Sender(self._task, self._options)
        waiting._on_commit = using or True
        return waiting

    def _delay(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> AsyncResult[R]:
        task = self._task
        if (through := task._backend._outgoing) is not None:
            return through.send(self, args, kwargs)
        new = task._make_call(args, kwargs, self._options, self._terms or self._shared())
        return task._backend._enqueue(task, new, self._timeout)

    def _adelay(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Awaitable[AsyncResult[R]]:
        task = self._task
        if (through := task._backend._outgoing) is not None:
            return through.asend(self, args, kwargs)
        new = task._make_call(args, kwargs, self._options, self._terms or self._shared())
        return task._backend._aenqueue(task, new, self._timeout)

    def _given(
        self, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None
    ) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """What `apply_async` got, if it can be: `(1)` is no tuple, and a text is a sequence of letters."""
        if not isinstance(args, tuple | list | None):
            raise InvalidArguments(
                f"task {self._task.name!r}: args must be a list or tuple, not {type(args).__name__}; "
                "a tuple of one is written (value,)"
            )
        if not isinstance(kwargs, Mapping | None):
            raise InvalidArguments(
                f"task {self._task.name!r}: kwargs must be a dict of arguments by name, not {type(kwargs).__name__}"
            )
        return args or (), kwargs or {}

    def _prepare(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> NewTask:
        """A call with these options, to be sent with others."""
        if (through := self._task._backend._outgoing) is not None:
            return through.prepare(self, args, kwargs)
        return self._make(args, kwargs)

    def _make(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> NewTask:
        """A call with these options."""
        return self._task._make_call(args, kwargs, self._options, self._terms or self._shared())

    def _rest_on(self, options: TaskOptions) -> None:
        """Have these options from now on."""
        self._options = options
        self._timeout = options.enqueue_timeout  # type: ignore[assignment] # the app sets it
        self._terms, self._used = None, False

    def _shared(self) -> Terms | None:
        """What all calls with these options share. It is worked out at the second: often there is but one."""
        if self._used:
            self._terms = self._task._make_terms(self._options)
        self._used = True
        return self._terms


def no_transactions(task: str) -> ConfigurationError:
    """A call is to wait for a commit, and nobody here knows of any."""
    return ConfigurationError(
        f"task {task!r}: this app knows of no transactions, so none of its calls can wait for a commit; in Django add "
        '"taskflow.contrib.django" to INSTALLED_APPS, elsewhere call .delay() after the commit'
    )


class CallMaker(Sender[P, R]):
    """A task, as far as calls of it are made.

    Args:
        backend: the app.
        name: what it is called on the wire.
        options: of the app and the task.
        signature: how its arguments are written.
        returns: how its results are read.
    """

    is_async = False

    def __init__(
        self, backend: Backend, name: str, options: TaskOptions, signature: Signature, returns: Returns
    ) -> None:
        super().__init__(None, options)
        self._backend = backend
        self.name = name
        self._signature = signature
        self._returns = returns
        """How its results are written and read."""

    @property
    def queue(self) -> str:
        """The task's own queue."""
        assert self._options.queue is not None, "the app sets it"
        return str(self._options.queue)

    def result(self, task_id: str, *, queue: str | None = None) -> AsyncResult[R]:
        """A handle on a call of this task that was enqueued elsewhere, whose result is converted by the function's annotation.

        Args:
            task_id: its id.
            queue: its queue; without it, all queues of the app's are asked (see `TaskFlow.result`).

        Example:
            >>> resize.result("order-17").get()                         # doctest: +SKIP
            'a-small.png'
        """
        return self._backend._result(task_id, queue, self)

    AsyncResult = result
    """Celery's name for it."""

    def _make_terms(self, options: TaskOptions) -> Terms:
        """What all calls with these options share."""
        return self._build(b"", replace(options, unique=None, id=""), lock_seconds=options.unique or 0).terms

    def _make_call(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: TaskOptions,
        terms: Terms | None = None,
    ) -> NewTask:
        """A call as a message, and when it is to run.

        Args:
            args: its positional arguments.
            kwargs: its arguments by name.
            options: of all layers.
            terms: what calls with these options share, where many are made with the same.
        """
        unique = options.unique
        payload = self._signature.encode(
            args, kwargs, canonical=unique is not None, limit=self._backend._max_payload, name=self.name
        )
        if terms is None:
            return self._build(payload, options, lock_seconds=unique or 0)
        lock = unique_key(terms.queue, self.name, payload) if unique else ""
        new = terms.call(options.id or new_id(), payload, lock)
        new.named = options.id is not None
        return new

    def _build(self, payload: bytes, options: TaskOptions, *, lock_seconds: int) -> NewTask:
        if options.outbox and not self._backend._has_outbox:
            raise ConfigurationError(
                f"task {self.name!r} is called with outbox=True, and the app has no outbox: give it one by app.use_outbox(...)"
            )
        message, schedule = build_message(self.name, payload, options, new_id=new_id)
        new = NewTask(
            message,
            schedule.delay,
            schedule.process_at,
            lock_seconds,
            options.durable or False,
            schedule.expires,
            schedule.expires_at,
            options.outbox,
        )
        new.named = options.id is not None
        return new

    def _template(self, queue: str) -> TaskMessage:
        """The message of a call of this task in a queue, but for its id and arguments: for whoever makes calls without Python."""
        options = merge(self._options, TaskOptions(queue=queue, id="template"))
        message, _ = build_message(self.name, None, replace(options, group=None, unique=None), new_id=new_id)
        return message

"""The way of a call through the middleware of the side that enqueues, before its message is made."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from ..broker.commands.enqueue import NewTask
from ..errors import ConfigurationError
from ..options import Options, TaskOptions, merge
from .middleware import Middleware
from .result import AsyncResult
from .sender import CallMaker, Sender, no_transactions

if TYPE_CHECKING:
    from .app_broker import AppBroker


class EnqueueCall:
    """A call that is being enqueued, as a middleware sees it: `enqueue(self, call, next)`.

    Attributes:
        task: the task's name.
        args: its positional arguments, as they were given.
        kwargs: its arguments by name.
        headers: what travels beside them, of all layers; what is put there travels, too.
        on_commit: whether it was made by `delay_on_commit()` or its like: True, or the alias of the database whose commit it
            waits for. A middleware that knows of transactions sets it to False and, where one is open, calls `hand_to`.

    Example:
        >>> class Tracing:
        ...     def enqueue(self, call, next):
        ...         call.headers["trace-id"] = "4bf92f35"
        ...         return next()
    """

    __slots__ = ("_given", "_options", "_taker", "args", "headers", "kwargs", "on_commit", "task")

    def __init__(
        self,
        task: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: TaskOptions,
        on_commit: bool | str = False,
    ) -> None:
        self.task = task
        self.args = tuple(args)
        self.kwargs = dict(kwargs)
        self.headers: dict[str, str] = dict(options.headers or {})
        self._options = options
        self._given: dict[str, Any] = {}
        self._taker: Taker | None = None
        self.on_commit = on_commit

    def __repr__(self) -> str:
        return f"<call of {self.task}>"  # what it is called with is nobody's business in a log

    def options(self, **options: Unpack[Options]) -> None:
        """Give the call other options, as `.options(...)` of a task does.

        Raises:
            UnknownOption: there is no such option.
            InvalidOption: a value cannot be.
        """
        layer = TaskOptions.of(options)
        self._options = merge(self._options, layer)
        self.headers.update(layer.headers or {})

    @property
    def queue(self) -> str:
        """Where it is to go."""
        return self._options.queue or ""

    def hand_to(self, taker: Taker) -> None:
        """Have the finished call given to `taker`, instead of being sent: it is sent when somebody calls its `send()`, or never.
        `next()` is called as ever, and the caller has its handle at once.

        Args:
            taker: a function of an `UnsentCall`. In a coroutine (`aenqueue`) what it returns is awaited, if that can be.

        Example:
            >>> class AfterCommit:
            ...     def enqueue(self, call, next):
            ...         call.hand_to(lambda unsent: transaction.on_commit(unsent.send))
            ...         return next()
        """
        self._taker = taker

    @property
    def outbox(self) -> bool | None:
        """Whether it is to be kept in the app's outbox; None: it does not say."""
        return self._options.outbox

    def _merged(self, before: TaskOptions) -> TaskOptions | None:
        """Its options; None: they are as they were."""
        if self.headers != (self._options.headers or {}):
            checked = TaskOptions.of({"headers": self.headers}) if self.headers else TaskOptions(headers={})
            # In the place of the others, not over them: one may have been taken out.
            self._options = merge(_without_headers(self._options), checked)
        return None if self._options is before else self._options


class UnsentCall:
    """A call that is finished, with its id, and not sent yet: what `EnqueueCall.hand_to` gives to its function.

    Attributes:
        handle: what the caller of `.delay()` has got.
    """

    __slots__ = ("_new", "_task", "_timeout", "handle")

    def __init__(
        self, handle: AsyncResult[Any], task: CallMaker[Any, Any], new: NewTask, timeout: float
    ) -> None:
        self.handle = handle
        self._task = task
        self._new = new
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<unsent call of {self._task.name}, id {self.handle.id!r}>"

    def send(self) -> None:
        """Send it now; from a thread.

        Raises:
            EnqueueError: as `.delay()` does.
        """
        self._sent(self._task._backend._enqueue(self._task, self._new, self._timeout))

    async def asend(self) -> None:
        """As `send`, from a coroutine."""
        self._sent(await self._task._backend._aenqueue(self._task, self._new, self._timeout))

    def _sent(self, handle: AsyncResult[Any]) -> None:
        self.handle.durable = handle.durable
        self.handle._coming = handle._coming


Taker = Callable[[UnsentCall], Any]
"""Is given a call that is not sent."""


class Outgoing:
    """Sends the calls of one app through its middleware.

    Args:
        app: the app.
        middleware: those that have a side that enqueues, in the order of their registration.
    """

    def __init__(self, app: AppBroker, middleware: Sequence[Middleware]) -> None:
        self._app = app
        self._middleware = tuple(middleware)

    def send(
        self, sender: Sender[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> AsyncResult[Any]:
        """Enqueue a call from a thread."""
        call = _call(sender, args, kwargs)

        def last() -> AsyncResult[Any]:
            new, timeout = _made(sender, call)
            if call._taker is not None:
                unsent = self._handed(sender, new, timeout)
                call._taker(unsent)
                return unsent.handle
            return sender._task._backend._enqueue(sender._task, new, timeout)

        return _through(self._middleware, call, last)

    async def asend(
        self, sender: Sender[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> AsyncResult[Any]:
        """Enqueue a call from a coroutine. Those without `aenqueue` are innermost, around the making of its message: none
        of them can wait for the server.
        """
        call = _call(sender, args, kwargs)
        here = [one for one in self._middleware if one.aenqueue is None]
        sent: list[AsyncResult[Any]] = []

        async def last() -> AsyncResult[Any]:
            made: list[tuple[NewTask, float]] = []
            _through(here, call, lambda: self._unsent(sender, call, made))
            new, timeout = made[-1]
            if call._taker is not None:
                unsent = self._handed(sender, new, timeout)
                sent.append(unsent.handle)
                if inspect.isawaitable(given := call._taker(unsent)):
                    await given
                return unsent.handle
            sent.append(await sender._task._backend._aenqueue(sender._task, new, timeout))
            return sent[-1]

        step: Callable[[], Awaitable[Any]] = last
        for one in reversed(self._middleware):
            if one.aenqueue is not None:
                step = partial(one.aenqueue, call, step)
        return _handle(await step(), sent, call)

    def prepare(self, sender: Sender[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> NewTask:
        """Make a call that goes with others, of a `map`."""
        call = _call(sender, args, kwargs)
        made: list[tuple[NewTask, float]] = []
        _through(self._middleware, call, lambda: self._unsent(sender, call, made))
        if call._taker is not None:
            raise ConfigurationError(
                f"a map of task {call.task!r} sends its calls at once, and a middleware would send them later: inside a "
                "transaction write transaction.on_commit(lambda: task.map(calls)), or call .delay() for each"
            )
        return made[-1][0]

    def _handed(self, sender: Sender[Any, Any], new: NewTask, timeout: float) -> UnsentCall:
        return UnsentCall(self._app._unsent(sender._task, new), sender._task, new, timeout)

    def _unsent(
        self, sender: Sender[Any, Any], call: EnqueueCall, made: list[tuple[NewTask, float]]
    ) -> AsyncResult[Any]:
        new, timeout = _made(sender, call)
        made.append((new, timeout))
        return self._app._unsent(sender._task, new)


def _call(sender: Sender[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> EnqueueCall:
    return EnqueueCall(sender._task.name, args, kwargs, sender._options, sender._on_commit)


def _made(sender: Sender[Any, Any], call: EnqueueCall) -> tuple[NewTask, float]:
    """The call as a message, and how long enqueueing it may take."""
    if call.on_commit:
        raise no_transactions(call.task)
    options = call._merged(sender._options)
    if options is None:
        return sender._make(call.args, call.kwargs), sender._timeout
    new = sender._task._make_call(call.args, call.kwargs, options)
    return new, options.enqueue_timeout or sender._timeout


def _through(
    middleware: Sequence[Middleware], call: EnqueueCall, last: Callable[[], AsyncResult[Any]]
) -> AsyncResult[Any]:
    sent: list[AsyncResult[Any]] = []

    def innermost() -> AsyncResult[Any]:
        sent.append(last())
        return sent[-1]

    step: Callable[[], Any] = innermost
    for one in reversed(middleware):
        if one.enqueue is not None:
            step = partial(one.enqueue, call, step)
    return _handle(step(), sent, call)


def _handle(given: object, sent: list[AsyncResult[Any]], call: EnqueueCall) -> AsyncResult[Any]:
    """What the caller gets. One who forgets to return what `next()` gave does not take the handle from it."""
    if sent:
        return given if isinstance(given, AsyncResult) else sent[-1]
    raise ConfigurationError(
        f"a middleware did not call next(), so the call of task {call.task!r} was not enqueued: one that refuses a call raises"
    )


def _without_headers(options: TaskOptions) -> TaskOptions:
    return replace(options, headers=None)

"""`with app.batch():` - calls that are gathered in a block and sent together at its end."""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from contextlib import suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from ..broker.commands.enqueue import NewTask
from ..errors import ConfigurationError
from ..telemetry.events import Enqueued, emit
from ..telemetry.telling import Audience
from .mapping import MapItem, MapResult, Progress
from .result import AsyncResult
from .verdict import ResultOf

if TYPE_CHECKING:
    from ..client.bulk import EnqueueOutcome
    from ..client.client import Client
    from ..client.enqueueing import OnOutcomes


class _App(Protocol):
    """What a batch needs of its app."""

    _audience: Audience

    @property
    def client(self) -> Client:
        """Who sends."""

    def _send_all(self, new: Iterable[NewTask], timeout: float, on_outcomes: OnOutcomes) -> None:
        """Enqueue calls, or keep them in the app's outbox."""

    def _asend_all(self, new: Iterable[NewTask], timeout: float, on_outcomes: OnOutcomes) -> Awaitable[None]:
        """The same from a coroutine."""


class Batch:
    """The calls of a block. Made by `app.batch()`.

    Inside `with app.batch() as batch:` (or `async with`), `.delay()`, `.adelay()`, `.apply_async()` and `app.send()` of any
    task of the app check their arguments and give their handle at once, but send nothing. At the end of the block everything
    goes together: one script call per queue and chunk, one pipeline per node. If the block raises, nothing is sent.

    A batch inside another one is sent at its own end. `map` is a batch by itself, and sends at once. Coroutines and
    `asyncio.to_thread` calls that are started in the block belong to it while it lasts; other threads do not.

    Example:
        >>> with app.batch() as batch:                              # doctest: +SKIP
        ...     thumbnail = resize.delay("a.png", 100)
        ...     notify.delay(user=7)
        >>> len(batch.outcomes), thumbnail.get(timeout=10)          # doctest: +SKIP
        (2, 'a-small.png')
    """

    def __init__(self, app: _App, *, raise_errors: bool, progress: Progress | None) -> None:
        self._app = app
        self._raise_errors = raise_errors
        self._progress = progress
        self._lock = threading.RLock()  # a signal handler may come in on the thread that holds it
        self._open = False
        self._calls: list[tuple[NewTask, AsyncResult[Any]]] = []
        self._handles: list[AsyncResult[Any]] = []
        self._timeout = 0.0
        self._items: list[MapItem[Any]] = []
        self._outcomes: MapResult[Any] | None = None
        self._outer: Batch | None = None
        self._token: Token[Batch | None] | None = None

    def __repr__(self) -> str:
        state = "open" if self._open else "sent" if self._outcomes is not None else "not sent"
        return f"<batch of {len(self)} calls, {state}>"

    def __len__(self) -> int:
        return len(self._calls) or len(self._handles)

    @property
    def outcomes(self) -> MapResult[Any]:
        """What became of each call, in their order.

        Raises:
            ConfigurationError: the block has not ended yet, or it raised and nothing was sent.
        """
        if self._outcomes is None:
            raise ConfigurationError("the batch has not been sent: its outcomes are there after its block")
        return self._outcomes

    def add(self, task: ResultOf, new: NewTask, timeout: float) -> AsyncResult[Any] | None:
        """Take a call; None when the block has ended: it has to be sent by itself."""
        with self._lock:
            if not self._open:
                return None
            new.named = True  # its id is given away now: with partitions it would get another one later
            terms = new.terms.message
            handle: AsyncResult[Any] = AsyncResult._of(
                self._app.client, new.id, terms.queue, retention=terms.retention, task=task
            )
            # In one step: a signal handler may add its own call at any moment.
            self._calls.append((new, handle))
            # Whoever has the most patience decides for all: none gives up sooner than it said.
            self._timeout = max(self._timeout, timeout)
            return handle

    # --- the block ------------------------------------------------------------------------------------------

    def __enter__(self) -> Batch:
        self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        if kind is None:
            self._app._send_all(self._take(), self._timeout, self._landed)
            self._finish()

    async def __aenter__(self) -> Batch:
        self._enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        if kind is None:
            await self._app._asend_all(self._take(), self._timeout, self._landed)
            self._finish()

    def _enter(self) -> None:
        if self._token is not None:
            raise ConfigurationError("a batch is for one block; make another with app.batch()")
        self._open = True
        self._outer = _current.get()
        self._token = _current.set(self)

    def _leave(self) -> None:
        with self._lock:
            self._open = False
        assert self._token is not None
        with suppress(
            ValueError
        ):  # an exit stack may close the block in another context than it was opened in
            _current.reset(self._token)

    def _take(self) -> Iterator[NewTask]:
        """The calls, each let go when it is under way."""
        self._handles = [handle for _, handle in self._calls]
        new = [new for new, _ in reversed(self._calls)]
        self._calls.clear()
        while new:
            yield new.pop()

    def _landed(self, tasks: Sequence[NewTask], outcomes: list[EnqueueOutcome]) -> None:
        for new, outcome in zip(tasks, outcomes, strict=True):
            index = len(self._items)
            handle = self._handles[index]
            handle.durable = outcome.durable
            if outcome.task is not None:
                handle.queue = outcome.task.terms.queue
            handle._coming = outcome.kept
            if outcome.error is None:
                if Enqueued.heard and not outcome.kept:
                    name = new.terms.message.type
                    emit(Enqueued(name, handle.id, handle.queue, 0), self._app._audience)
                self._items.append(MapItem(index, handle, None))
            else:
                self._items.append(MapItem(index, None, outcome.error))
        if self._progress is not None:
            self._progress(len(self._items), len(self._handles))

    def _finish(self) -> None:
        self._outcomes = MapResult(self._items)
        if self._raise_errors:
            self._outcomes.raise_for_errors()


_current: ContextVar[Batch | None] = ContextVar("taskflow_batch", default=None)

current_batch = _current.get
"""The batch of the innermost block, if any."""


def gather(app: object, task: ResultOf, new: NewTask, timeout: float) -> AsyncResult[Any] | None:
    """The handle of a call that is made in the block of a batch of this app; None: it is not, so send it.

    A coroutine may outlive the block that it was started in: the call then belongs to the block around that one, if any.
    """
    batch = _current.get()
    while batch is not None:
        if batch._app is app and (handle := batch.add(task, new, timeout)) is not None:
            return handle
        batch = batch._outer
    return None


def _after_fork() -> None:
    """Another thread of the parent may have held the lock of a batch that the child is in."""
    batch = _current.get()
    while batch is not None:
        batch._lock = threading.RLock()
        batch = batch._outer


os.register_at_fork(after_in_child=_after_fork)

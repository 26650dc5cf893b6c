"""An app and its broker: what it enqueues with, and what becomes of a call."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..broker.commands.enqueue import NewTask
from ..connection.url import parse
from ..errors import BrokerUnavailable, TaskFlowError
from ..message.message_crypto import MessageCrypto
from ..options import TaskOptions
from ..project import SHARED_URL, Project, project_of
from ..telemetry.events import Enqueued, emit
from ..telemetry.telling import Audience
from . import registry
from .backend import Goes, OnHandles
from .batch import Batch, current_batch, gather
from .mapping import Progress
from .outbox import Keeping
from .result import AsyncResult
from .sender import CallMaker
from .task import BaseTask

if TYPE_CHECKING:
    from ..client.bulk import EnqueueOutcome
    from ..client.client import Client
    from ..client.enqueueing import OnOutcomes
    from ..inspector import AsyncInspector, Inspector
    from .called_here import Runner
    from .eager import Eager


class AppBroker:
    """The part of an app that enqueues; `TaskFlow` sets what is declared here.

    The other parts are made from this one, each in a file of its own, `app_*.py`.
    """

    name: str
    eager: bool
    eager_propagates: bool
    tasks: dict[str, BaseTask[Any, Any]]
    _max_payload: int
    _error_text: bool
    _crypto: MessageCrypto | None
    _defaults: TaskOptions
    _partitions: dict[str, int]
    """The number of partitions, by the names of the queues that were given options."""
    _audience: Audience
    """Which events are this app's."""
    _listeners: dict[Callable[..., object], list[Callable[[], None]]]
    """What detaches each."""
    _outgoing: Goes | None
    """The middleware that its calls go through; None: there is none."""
    _broker: str | None
    _made_in: str | None
    """The file that makes the app, where no broker was given."""
    _client: Client | None
    _keeping: Keeping | None
    """What keeps calls in its outbox; None: it has none."""
    _eager: Eager | None
    _runner: Runner | None = None
    """What runs coroutines in eager mode."""

    @property
    def broker_url(self) -> str:
        """The broker's URL, with its password: never log it. Where none was given, that of the project's development server."""
        if registry.redirected is not None:
            return registry.redirected.url
        given = self._broker or os.environ.get("TASKFLOW_BROKER")
        if given:
            return given
        project = self._project
        return project.url if project is not None else SHARED_URL

    @property
    def _project(self) -> Project | None:
        """The project whose development server is used; None: a broker was given, or there is no home directory."""
        if registry.redirected or self._broker or os.environ.get("TASKFLOW_BROKER"):
            return None
        with contextlib.suppress(RuntimeError):  # whoever uses the server is told
            return project_of(self._made_in)
        return None

    def use_broker(self, url: str | None) -> None:
        """Use another broker from now on; `taskflow worker -b URL` does so for its tasks' own calls.

        Args:
            url: its URL; None: the one of an app that was given none.

        Raises:
            InvalidBrokerURL: the URL cannot be understood.
        """
        if url is not None:
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
            make: type[Client] = Client if registry.redirected is None else registry.redirected.client_class
            self._client = make(self.broker_url, self._crypto, self._partitions, app=self.name)
        return self._client

    def _note_stored(self, queue: str, task_id: str, key: str) -> None:
        """Something is about to be put into the app's store: have it looked for when its task is gone."""
        # Only here: few apps have a store.
        from ..broker.commands.stored import FIRST_LOOK, Stored, note_stored

        self.client.broker.run(note_stored(queue, [Stored(task_id, key)], FIRST_LOOK))

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

            # Nothing is put into the store: no queue would say when it is to be deleted.
            crypto = self._crypto and self._crypto.without_store()
            self._eager = Eager(
                self.name,
                self.tasks,
                crypto,
                error_text=self._error_text,
                audience=self._audience,
                runner=self._runner,
            )
        return self._eager

    def run_coroutines_with(self, runner: Runner) -> None:
        """In eager mode, and in `.apply()`, have this run coroutine tasks that a thread calls, instead of `asyncio.run`.

        Args:
            runner: makes a function of a coroutine function, as `async_to_sync` of asgiref does, with which the synchronous parts
                of a coroutine run in the caller's thread.

        Example:
            >>> app.run_coroutines_with(async_to_sync)                   # doctest: +SKIP
        """
        self._runner = runner
        self._eager = None

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

    def _unsent(self, task: CallMaker[Any, Any], new: NewTask) -> AsyncResult[Any]:
        """The handle of a call that is sent later, with others."""
        new.named = True  # its id is given away now: with partitions it would get another one later
        if self.eager:
            return self._runs_here.result(new.id, new.terms.queue, task)
        return AsyncResult._of(
            self.client, new.id, new.terms.queue, retention=new.terms.message.retention, task=task
        )

    # --- what tasks enqueue with ----------------------------------------------------------------------------

    def _enqueue(self, task: CallMaker[Any, Any], new: NewTask, timeout: float) -> AsyncResult[Any]:
        """Enqueue one prepared call; used by `task.delay`."""
        if self.eager:
            return self._runs_here.run(task, new, propagate=self.eager_propagates)
        if current_batch() is not None and (gathered := gather(self, task, new, timeout)) is not None:
            return gathered
        if self._keeping is not None and self._keeping.takes(new):
            return self._handle(task, new, self._keeping.put(new))
        return self._handle(task, new, (self._client or self.client).enqueue(new, timeout))

    def _run_here(self, task: CallMaker[Any, Any], new: NewTask, *, propagate: bool) -> AsyncResult[Any]:
        """Run one prepared call in this thread; used by `task.apply`."""
        return self._runs_here.run(task, new, propagate=propagate)

    async def _aenqueue(self, task: CallMaker[Any, Any], new: NewTask, timeout: float) -> AsyncResult[Any]:
        """As `enqueue`, from a coroutine."""
        if self.eager:
            return await self._runs_here.arun(task, new, propagate=self.eager_propagates)
        if current_batch() is not None and (gathered := gather(self, task, new, timeout)) is not None:
            return gathered
        if self._keeping is not None and self._keeping.takes(new):
            return self._handle(task, new, await self._keeping.aput(new))
        return self._handle(task, new, await (self._client or self.client).aenqueue(new, timeout))

    def _enqueue_many(
        self, task: CallMaker[Any, Any], new: Iterable[NewTask], timeout: float, on_handles: OnHandles
    ) -> None:
        """Enqueue prepared calls as they come; used by `task.map`."""
        if self.eager:
            for one in new:
                on_handles([self._runs_here.run(task, one, propagate=self.eager_propagates)])
            return
        self._send_all(new, timeout, lambda tasks, outcomes: on_handles(self._handles(task, tasks, outcomes)))

    async def _aenqueue_many(
        self, task: CallMaker[Any, Any], new: Iterable[NewTask], timeout: float, on_handles: OnHandles
    ) -> None:
        """As `enqueue_many`, from a coroutine."""
        if self.eager:
            for one in new:
                on_handles([await self._runs_here.arun(task, one, propagate=self.eager_propagates)])
            return
        await self._asend_all(
            new, timeout, lambda tasks, outcomes: on_handles(self._handles(task, tasks, outcomes))
        )

    @property
    def _has_outbox(self) -> bool:
        return self._keeping is not None or self.eager

    def _send_all(self, new: Iterable[NewTask], timeout: float, on_outcomes: OnOutcomes) -> None:
        """Enqueue prepared calls as they come, or keep them."""
        if self._keeping is None:
            self.client.enqueue_many(new, timeout, on_outcomes)
        else:
            self._keeping.send(new, timeout, on_outcomes)

    async def _asend_all(self, new: Iterable[NewTask], timeout: float, on_outcomes: OnOutcomes) -> None:
        """As `_send_all`, from a coroutine."""
        if self._keeping is None:
            await self.client.aenqueue_many(new, timeout, on_outcomes)
        else:
            await self._keeping.asend(new, timeout, on_outcomes)

    def _handle(self, task: CallMaker[Any, Any], new: NewTask, outcome: EnqueueOutcome) -> AsyncResult[Any]:
        new = outcome.task or new
        message = new.terms.message
        if Enqueued.heard and not outcome.kept:
            emit(Enqueued(task.name, new.id, message.queue, 0), self._audience)
        return AsyncResult._of(
            self._client or self.client,
            new.id,
            message.queue,
            retention=message.retention,
            durable=outcome.durable,
            task=task,
            coming=outcome.kept,
        )

    def _handles(
        self, task: CallMaker[Any, Any], new: Sequence[NewTask], outcomes: Sequence[EnqueueOutcome]
    ) -> list[AsyncResult[Any] | TaskFlowError]:
        return [
            outcome.error or self._handle(task, one, outcome)
            for one, outcome in zip(new, outcomes, strict=True)
        ]

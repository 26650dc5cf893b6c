"""An app and its broker: what it enqueues with, what becomes of a call, and the handles on tasks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..broker.commands.enqueue import NewTask
from ..connection.url import parse
from ..errors import BrokerUnavailable, TaskFlowError
from ..message.ids import check_queue_name, check_task_id
from ..message.message_crypto import MessageCrypto
from ..options import DEFAULT_QUEUE, TaskOptions
from .batch import Batch, current_batch, gather
from .mapping import Progress
from .result import AsyncResult
from .sender import CallMaker, OnHandles
from .task import BaseTask

if TYPE_CHECKING:
    from ..client.bulk import EnqueueOutcome
    from ..client.client import Client
    from ..inspector import AsyncInspector, Inspector
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
    _broker: str | None
    _client: Client | None
    _eager: Eager | None

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

    def _enqueue(self, task: CallMaker[Any, Any], new: NewTask, timeout: float) -> AsyncResult[Any]:
        """Enqueue one prepared call; used by `task.delay`."""
        if self.eager:
            return self._runs_here.run(task, new, propagate=self.eager_propagates)
        if current_batch() is not None and (gathered := gather(self, task, new, timeout)) is not None:
            return gathered
        return self._handle(task, new, (self._client or self.client).enqueue(new, timeout))

    async def _aenqueue(self, task: CallMaker[Any, Any], new: NewTask, timeout: float) -> AsyncResult[Any]:
        """As `enqueue`, from a coroutine."""
        if self.eager:
            return await self._runs_here.arun(task, new, propagate=self.eager_propagates)
        if current_batch() is not None and (gathered := gather(self, task, new, timeout)) is not None:
            return gathered
        return self._handle(task, new, await (self._client or self.client).aenqueue(new, timeout))

    def _enqueue_many(
        self, task: CallMaker[Any, Any], new: Iterable[NewTask], timeout: float, on_handles: OnHandles
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
        self, task: CallMaker[Any, Any], new: Iterable[NewTask], timeout: float, on_handles: OnHandles
    ) -> None:
        """As `enqueue_many`, from a coroutine."""
        if self.eager:
            for one in new:
                on_handles([await self._runs_here.arun(task, one, propagate=self.eager_propagates)])
            return
        await self.client.aenqueue_many(
            new, timeout, lambda tasks, outcomes: on_handles(self._handles(task, tasks, outcomes))
        )

    def _handle(self, task: CallMaker[Any, Any], new: NewTask, outcome: EnqueueOutcome) -> AsyncResult[Any]:
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
        self, task: CallMaker[Any, Any], new: Sequence[NewTask], outcomes: Sequence[EnqueueOutcome]
    ) -> list[AsyncResult[Any] | TaskFlowError]:
        return [
            outcome.error or self._handle(task, one, outcome)
            for one, outcome in zip(new, outcomes, strict=True)
        ]

"""`AsyncResult`: a task that was enqueued, and the way to its verdict."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..broker.command import TIMEOUT
from ..broker.commands.read import Snapshot, read_task
from ..partitions import split_queue
from ..states import State
from .registry import ClientOf, TaskOf
from .result_info import ResultInfo, info_of, state_of
from .verdict import PENDING, ResultOf, verdict
from .waiting import wait_in_thread, wait_on_loop

if TYPE_CHECKING:
    from ..client.client import Client
    from ..connection.steps import Request

R = TypeVar("R")


class AsyncResult(Generic[R]):
    """A handle on one task.

    `get()` waits for the verdict; in a coroutine `await result.aget()`, or just `await result`. What the task
    returned is converted by its function's annotation, as arguments are; without one it is what its JSON holds
    (docs/values.md). Another process gets a handle by `app.result(id, queue=...)`, which knows no annotation, or
    by a pickle of this one.

    Example:
        >>> result = resize.options(retention=600).delay("a.png")   # doctest: +SKIP
        >>> result.get(timeout=10)                                  # doctest: +SKIP
        'a-small.png'
    """

    def __init__(
        self,
        client: Client,
        task_id: str,
        queue: str,
        *,
        retention: int | None = None,
        durable: bool | None = None,
        partitions: int = 0,
        task: ResultOf | None = None,
    ) -> None:
        self.id = task_id
        self.queue = queue
        """Where it is: of a queue with partitions, the partition (once it is known)."""
        self._partitions = partitions
        self.durable = durable
        """With `durable`: whether a replica has the task too; False: its node had none. None: that was not asked."""
        self._client = client
        self._retention = retention
        self._task = task
        self._value: Any = PENDING

    def __repr__(self) -> str:
        return f"AsyncResult(id={self.id!r}, queue={self.queue!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AsyncResult):
            return NotImplemented
        return self.id == other.id and split_queue(self.queue)[0] == split_queue(other.queue)[0]

    def __hash__(self) -> int:
        return hash((self.id, split_queue(self.queue)[0]))

    def __reduce__(self) -> tuple[Any, ...]:
        # Neither connections nor keys: whoever unpickles it has an app of the same name.
        name = self._task.name if self._task is not None else ""
        facts = (self.id, self.queue, self._retention, self.durable, self._partitions)
        return restored, (self._client.app, name, *facts)

    def __copy__(self) -> AsyncResult[R]:
        copy = type(self).__new__(type(self))
        copy.__dict__.update(self.__dict__)
        return copy

    def __deepcopy__(self, memo: Any) -> AsyncResult[R]:
        return self.__copy__()

    def __await__(self) -> Generator[Any, None, R]:
        return self.aget().__await__()

    def _typed(self, task: ResultOf) -> AsyncResult[R]:
        """Convert the result as that of this task; gives itself."""
        self._task = task
        return self

    @property
    def state(self) -> State | None:
        """Where the task is now, or None when the queue does not know it (any more)."""
        return state_of(self._read().state)

    def info(self) -> ResultInfo:
        """What the queue knows of the task.

        Raises:
            ResultMissing: it does not know the task: it was not retained, was deleted, or never existed.
        """
        return info_of(self._read(), self.id, self.queue)

    async def ainfo(self) -> ResultInfo:
        """As `info`, from a coroutine."""
        return info_of(await self._aread(), self.id, self.queue)

    def get(self, timeout: float | None = None) -> R:
        """Wait for the verdict and return what the task returned.

        A task in retry is waited for. The wait is woken when a Python worker writes the verdict; what Go
        writes is found by looking, at growing intervals up to a second.

        Args:
            timeout: seconds; None waits as long as it takes.

        Raises:
            TaskFailed: the task is archived; `text` is its last error.
            ResultNotKept: it has no `retention`, so no result is ever kept. Raised at once.
            ResultMissing: the queue does not know it.
            ResultUnreadable: the result is encrypted, with a key that this app does not have.
            ResultNotTrusted: the app has keys, and nobody who has one of them wrote the result.
            ResultMismatch: the result does not fit the annotation of the task's function.
            ResultTimeout: no verdict in time.
            BrokerUnavailable: the broker did not answer for 30 s, or until the timeout.
        """
        wait_in_thread(self, timeout)
        return self._value  # type: ignore[no-any-return]

    async def aget(self, timeout: float | None = None) -> R:
        """As `get`, from a coroutine."""
        await wait_on_loop(self, timeout)
        return self._value  # type: ignore[no-any-return]

    # --------------------------------------------------------------------------------------------------------

    def _read(self, timeout: float = TIMEOUT) -> Snapshot:
        broker = self._client.broker
        if not self._partitions:
            return broker.run(read_task(self.queue, self.id), timeout)
        steps = self._search()
        requests = next(steps)
        while True:
            try:
                requests = steps.send(broker.run_many(requests, timeout))
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]

    async def _aread(self, timeout: float = TIMEOUT) -> Snapshot:
        broker = self._client.async_broker
        if not self._partitions:
            return await broker.run(read_task(self.queue, self.id), timeout)
        steps = self._search()
        requests = next(steps)
        while True:
            try:
                requests = steps.send(await broker.run_many(requests, timeout))
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]

    def _search(self) -> Generator[list[Request], list[Any], Snapshot]:
        # Only here: few queues have partitions, and what asks them takes its time to import.
        from .search import search

        queue, snapshot = yield from search(self.queue, self._partitions, self.id)
        if queue is not None:
            self.queue, self._partitions = queue, 0
        return snapshot

    def _has_ended(self, snapshot: Snapshot) -> bool:
        """Whether there is a verdict; an error is raised, a value is kept."""
        if self._value is PENDING:
            self._value = verdict(self, snapshot)
        return self._value is not PENDING


def restored(
    app: str,
    name: str,
    task_id: str,
    queue: str,
    retention: int | None,
    durable: bool | None,
    partitions: int,
) -> AsyncResult[Any]:
    """A handle out of a pickle. Its app is looked for when it is first asked for something."""
    client: Any = ClientOf(app)
    return AsyncResult(
        client,
        task_id,
        queue,
        retention=retention,
        durable=durable,
        partitions=partitions,
        task=TaskOf(app, name) if name else None,
    )

"""`AsyncResult`: a task that was enqueued, and the way to its verdict."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

from ..broker.commands.forget import forget
from ..errors import TaskFailed
from ..partitions import split_queue
from .failure import Propagate, check_propagate, settled
from .registry import ClientOf, TaskOf, the_app
from .result_cancel import ResultCancel
from .result_facts import check_forgotten
from .result_info import ResultInfo, info_of
from .result_reads import ResultReads
from .verdict import PENDING, ResultOf
from .waiting import wait_in_thread, wait_on_loop, warn_inside_a_task

if TYPE_CHECKING:
    from .watch import Watch

R = TypeVar("R")


class AsyncResult(ResultReads[R], ResultCancel):
    """A handle on one task.

    `get()` waits for the verdict; in a coroutine `await result.aget()`, or just `await result`. What the task
    returned is converted by its function's annotation, as arguments are; without one it is what its JSON holds
    (docs/values.md). Another process gets a handle by `task.result(id)`, by `app.result(id)`, which knows no annotation, or
    by a pickle of this one. See docs/results.md.

    `AsyncResult(id)` is Celery's way to `app.result(id)`.

    Args:
        id: the task's id.
        app: whose task it is; without it, the one app that this process has.
        queue: as `app.result` takes it.

    Raises:
        ConfigurationError: no `app` is given, and the process has none, or several.

    Example:
        >>> result = resize.options(retention=600).delay("a.png")   # doctest: +SKIP
        >>> result.get(timeout=10)                                  # doctest: +SKIP
        'a-small.png'
    """

    _retention: int | None
    _value: Any
    durable: bool | None
    """With `durable`: whether a replica has the task too; False: its node had none. None: that was not asked."""

    def __new__(cls, id: str, *, app: Any = None, queue: str | None = None) -> AsyncResult[Any]:
        """See above. What is made here is a handle of the app's."""
        handle: AsyncResult[Any] = (app if app is not None else the_app()).result(id, queue=queue)
        return handle

    @classmethod
    def _of(
        cls,
        client: Any,
        task_id: str,
        queue: str,
        *,
        retention: int | None = None,
        durable: bool | None = None,
        partitions: int = 0,
        task: ResultOf | None = None,
        coming: bool = False,
    ) -> Self:
        """A handle on a task whose queue is known."""
        self = object.__new__(cls)
        self.id = task_id
        self.queue = queue
        self._partitions = partitions
        self.durable = durable
        self._client = client
        self._retention = retention
        self._task = task
        self._value = PENDING
        if coming:
            self._coming = True
        return self

    @classmethod
    def _somewhere(
        cls, client: Any, task_id: str, places: Mapping[str, int], *, task: ResultOf | None = None
    ) -> Self:
        """A handle on a task in one of these queues; with how many partitions each has, or 0."""
        if len(places) == 1:
            ((queue, partitions),) = places.items()
            return cls._of(client, task_id, queue, partitions=partitions, task=task)
        handle = cls._of(client, task_id, "", task=task)
        handle._places = places
        return handle

    def __repr__(self) -> str:
        return f"AsyncResult(id={self.id!r}, queue={self.queue!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AsyncResult):
            return NotImplemented
        return self.id == other.id and split_queue(self.queue)[0] == split_queue(other.queue)[0]

    def __hash__(self) -> int:
        return hash(self.id)  # its queue may become known later

    def __reduce__(self) -> tuple[Any, ...]:
        # Neither connections nor keys: whoever unpickles it has an app of the same name.
        name = self._task.name if self._task is not None else ""
        facts = (
            self.id,
            self.queue,
            self._retention,
            self.durable,
            self._partitions,
            self._places,
            self._coming,
        )
        return restored, (self._client.app, name, *facts)

    def __copy__(self) -> AsyncResult[R]:
        copy = object.__new__(type(self))
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

    def info(self) -> ResultInfo:
        """What the queue knows of the task.

        Raises:
            ResultMissing: it does not know the task: it was not retained, was deleted, or never existed.
        """
        info = info_of(self._read(), self.id, self.queue, self._asked)
        said = self._said()
        return replace(info, progress=said.progress, lines=said.lines, reported_at=said.at)

    async def ainfo(self) -> ResultInfo:
        """As `info`, from a coroutine."""
        info = info_of(await self._aread(), self.id, self.queue, self._asked)
        said = await self._asaid()
        return replace(info, progress=said.progress, lines=said.lines, reported_at=said.at)

    @overload
    def get(self, timeout: float | None = None, propagate: Literal[True, "original"] = True) -> R: ...

    @overload
    def get(self, timeout: float | None = None, propagate: Propagate = True) -> R | TaskFailed: ...

    def get(self, timeout: float | None = None, propagate: Propagate = True) -> R | TaskFailed:
        """Wait for the verdict and return what the task returned.

        A task in retry is waited for. Inside a task a warning says, once for each place, that this may wait for ever: for a task
        that needs the slot in which this one waits. The wait is woken when a Python worker writes the verdict; what Go
        writes is found by looking, at growing intervals up to a second.

        Args:
            timeout: seconds; None waits as long as it takes.
            propagate: what becomes of a failure. True: `TaskFailed` is raised, which has the type's name, the text, the worker's
                traceback and the attempts. False: it is returned. "original": an exception of the type that the task raised
                is raised where that type is known, of which `TaskFailed` is the cause: if this process has imported it, and it
                can be made with the text alone. Nothing is imported for it.

        Raises:
            TaskFailed: the task is archived; `text` is its last error.
            InvalidOption: `propagate` is none of these.
            ResultNotKept: it has no `retention`, so no result is ever kept. Raised at once.
            ResultMissing: the queue does not know it.
            ResultUnreadable: the result is encrypted, with a key that this app does not have.
            ResultNotTrusted: the app has keys, and nobody who has one of them wrote the result.
            ResultMismatch: the result does not fit the annotation of the task's function.
            ResultTimeout: no verdict in time.
            BrokerUnavailable: the broker did not answer for 30 s, or until the timeout.
            AmbiguousTaskId: several queues have a task of this id, and none was named.
        """
        check_propagate(propagate)
        warn_inside_a_task()
        try:
            wait_in_thread(self, timeout)
        except TaskFailed as failure:
            return settled(failure, propagate)
        return self._value  # type: ignore[no-any-return]

    @overload
    async def aget(self, timeout: float | None = None, propagate: Literal[True, "original"] = True) -> R: ...

    @overload
    async def aget(self, timeout: float | None = None, propagate: Propagate = True) -> R | TaskFailed: ...

    async def aget(self, timeout: float | None = None, propagate: Propagate = True) -> R | TaskFailed:
        """As `get`, from a coroutine."""
        check_propagate(propagate)
        warn_inside_a_task()
        try:
            await wait_on_loop(self, timeout)
        except TaskFailed as failure:
            return settled(failure, propagate)
        return self._value  # type: ignore[no-any-return]

    wait = get
    """Celery's name for `get`; from a coroutine it is `aget`."""

    def forget(self) -> None:
        """Delete what the queue has kept of a task that has ended, its result with it. Nothing happens where there is nothing.

        Raises:
            IllegalMove: it has not ended yet: nothing is kept so far, and the task itself is not this method's.
        """
        self._value = PENDING
        self._read()
        if self.queue:
            (outcome,) = self._client.broker.run(forget(self.queue, [self.id]))
            check_forgotten(outcome, self.id, self.queue)

    async def aforget(self) -> None:
        """As `forget`, from a coroutine."""
        self._value = PENDING
        await self._aread()
        if self.queue:
            (outcome,) = await self._client.async_broker.run(forget(self.queue, [self.id]))
            check_forgotten(outcome, self.id, self.queue)

    def watch(self, timeout: float | None = None) -> Watch:
        """What the task does and says, as it happens: its states, its progress and its lines, and at last the verdict.

        An iterator, and in a coroutine an asynchronous one. It outlives dropped connections and fail-overs: no line comes twice,
        and the verdict always. `get()` gives the result after it.

        Args:
            timeout: seconds; None: until the task has ended.

        Returns:
            What gives `Progress`, `LogLines`, `StateChanged` and, as the last, `Verdict`. When it is iterated, it raises
            ResultMissing (the queue does not know the task), ResultTimeout (it has not ended in time) or BrokerUnavailable (the
            broker did not answer for 30 s).

        Example:
            >>> for event in result.watch():                              # doctest: +SKIP
            ...     match event:
            ...         case Progress(done=done, total=total):
            ...             print(f"{done} of {total}")
        """
        # Only here: who waits for results alone, or for none, does without.
        from .watch import Watch

        warn_inside_a_task()

        return Watch(self, timeout)


def restored(
    app: str,
    name: str,
    task_id: str,
    queue: str,
    retention: int | None,
    durable: bool | None,
    partitions: int,
    places: Mapping[str, int] | None = None,
    coming: bool = False,
) -> AsyncResult[Any]:
    """A handle out of a pickle. Its app is looked for when it is first asked for something."""
    handle: AsyncResult[Any] = AsyncResult._of(
        ClientOf(app),
        task_id,
        queue,
        retention=retention,
        durable=durable,
        partitions=partitions,
        task=TaskOf(app, name) if name else None,
        coming=coming,
    )
    if places:
        handle._places = places
    return handle

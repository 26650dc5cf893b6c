"""`AsyncResult`: a task that was enqueued, and the way to its verdict."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ..broker.command import TIMEOUT
from ..broker.commands.partitions import are_listed
from ..broker.commands.read import Snapshot, read_task
from ..broker.keys import queue_keys
from ..connection.steps import Request, value_or_raise
from ..errors import (
    BrokerError,
    BrokerUnavailable,
    MessageError,
    ResultMismatch,
    ResultMissing,
    ResultNotKept,
    ResultNotTrusted,
    ResultTimeout,
    ResultUnreadable,
    SignatureError,
    TaskFailed,
)
from ..message.payload import decode_result
from ..message.returns import Returns, Unfit
from ..partitions import partition_names, split_queue
from ..states import State
from .registry import ClientOf, TaskOf
from .result_info import ResultInfo, info_of, state_of

if TYPE_CHECKING:
    from ..client.client import Client
    from ..connection.waiting import AsyncListener, Listener

R = TypeVar("R")

_FIRST_LOOK = 0.05
_LONGEST_LOOK = 1.0
_READ_TIMEOUT = 30.0
_LEAST = 0.5
"""Seconds that a look may take however little time is left: with `timeout=0` there is one, too."""

_PENDING: Any = object()


class ResultOf(Protocol):
    """What a handle has to know of its task to convert the result."""

    @property
    def name(self) -> str:
        """The task's name."""

    @property
    def _returns(self) -> Returns:
        """How its results are read."""


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
        self._value: Any = _PENDING

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
        deadline = None if timeout is None else time.monotonic() + timeout
        look = _FIRST_LOOK
        listener: Listener | None = None
        try:
            while not self._has_ended(self._read(_within(deadline, _READ_TIMEOUT))):
                pause = self._pause(deadline, look)
                if listener is None:
                    listener = self._listen(pause, _within(deadline, max(pause, 1.0)))
                elif not _heard(listener, pause):
                    listener = None
                look = min(look * 1.5, _LONGEST_LOOK)
        finally:
            if listener is not None:
                listener.close()
        return self._value  # type: ignore[no-any-return]

    async def aget(self, timeout: float | None = None) -> R:
        """As `get`, from a coroutine."""
        import asyncio

        deadline = None if timeout is None else time.monotonic() + timeout
        look = _FIRST_LOOK
        listener: AsyncListener | None = None
        try:
            while not self._has_ended(await self._aread(_within(deadline, _READ_TIMEOUT))):
                pause = self._pause(deadline, look)
                try:
                    if listener is None:
                        listener = await self._alisten(_within(deadline, max(pause, 1.0)))
                    else:
                        await listener.wait(pause)
                except BrokerUnavailable:
                    await asyncio.sleep(pause)
                    if listener is not None:
                        await listener.close()
                    listener = None
                look = min(look * 1.5, _LONGEST_LOOK)
        finally:
            if listener is not None:
                await listener.close()
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
        """Ask all partitions for the task; also those that the app does not declare any more."""
        names = partition_names(self.queue)
        declared, others = names[: self._partitions], names[self._partitions :]
        listed, *found = yield [are_listed(others), *(read_task(name, self.id) for name in declared)]
        seen = dict(zip(declared, found, strict=True))
        if not any(isinstance(one, Snapshot) and one.state for one in found):
            flags = [False] * len(others) if isinstance(listed, BrokerError) else listed
            more = [name for name, is_there in zip(others, flags, strict=True) if is_there]
            if more:
                found = yield [read_task(name, self.id) for name in more]
                seen |= dict(zip(more, found, strict=True))
        for name, one in seen.items():
            if isinstance(one, Snapshot) and one.state:
                self.queue, self._partitions = name, 0
                return one
        # It may be where nobody answered.
        doubtful: Snapshot = value_or_raise(min(seen.values(), key=_answered))
        return doubtful

    def _has_ended(self, snapshot: Snapshot) -> bool:
        """Whether there is a verdict; an error is raised, a value is kept."""
        if self._value is not _PENDING:
            return True
        retention = snapshot.message.retention if snapshot.message else self._retention
        if snapshot.state == State.ARCHIVED:
            text = snapshot.message.error_msg if snapshot.message else ""
            raise TaskFailed(text or snapshot.error or "archived without an error", task_id=self.id)
        if snapshot.state == State.COMPLETED:
            result = self._opened(snapshot)
            self._value = self._converted(result) if result is not None else None
            return True
        if retention == 0:
            raise ResultNotKept(
                f"task {self.id} keeps no result; "
                "give it one with retention=<seconds>, in @app.task or .options()",
                task_id=self.id,
            )
        if snapshot.state is None:
            raise ResultMissing(
                f"queue {self.queue!r} does not know task {self.id}: "
                "it was deleted, its retention has passed, or it never existed",
                task_id=self.id,
            )
        return False

    def _converted(self, data: bytes) -> Any:
        """The result as the task's function returned it; as its JSON where the function is not known."""
        if self._task is None:
            return decode_result(data)
        try:
            return self._task._returns.read(data)
        except Unfit as error:
            raise ResultMismatch(
                f"the result of task {self.id} does not fit what {self._task.name!r} is annotated to return: {error}; "
                "app.result(id, queue=...).get() gives it as it is",
                task_id=self.id,
            ) from None

    def _opened(self, snapshot: Snapshot) -> bytes | None:
        """The result's plain bytes; None: there are none."""
        crypto, id = self._client.crypto, self.id.encode("utf-8", "surrogateescape")
        try:
            return crypto.open_result(snapshot.message, self.queue, id, snapshot.result)
        except SignatureError as error:
            raise ResultNotTrusted(
                f"the result of task {self.id} is not trusted: {error}", task_id=self.id
            ) from None
        except MessageError as error:
            raise ResultUnreadable(f"the result of task {self.id} {error}", task_id=self.id) from None

    def _pause(self, deadline: float | None, seconds: float) -> float:
        if deadline is None:
            return seconds
        left = deadline - time.monotonic()
        if left <= 0:
            raise ResultTimeout(f"task {self.id} had no verdict in time", task_id=self.id)
        return min(seconds, left)

    def _listen(self, pause_seconds: float, timeout: float) -> Listener | None:
        """Subscribe. The caller looks once more afterwards, so that nothing falls between the two."""
        from ..connection.waiting import Listener

        keys = queue_keys(self.queue)
        try:
            return Listener(self._client.broker.driver, keys.slot, keys.verdict_channel(self.id), timeout)
        except BrokerUnavailable:
            time.sleep(pause_seconds)
            return None

    async def _alisten(self, timeout: float) -> AsyncListener:
        from ..connection.waiting import AsyncListener

        keys = queue_keys(self.queue)
        driver = self._client.async_broker.driver
        return await AsyncListener.open(driver, keys.slot, keys.verdict_channel(self.id), timeout)


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


def _within(deadline: float | None, seconds: float) -> float:
    """So many seconds, but no more than are left."""
    return seconds if deadline is None else min(seconds, max(deadline - time.monotonic(), _LEAST))


def _answered(value: object) -> bool:
    return not isinstance(value, BrokerError)


def _heard(listener: Listener, seconds: float) -> bool:
    """Wait on the listener; False when its connection broke: the next round makes a new one."""
    with contextlib.suppress(BrokerUnavailable):
        listener.wait(seconds)
        return True
    listener.close()
    time.sleep(seconds)
    return False

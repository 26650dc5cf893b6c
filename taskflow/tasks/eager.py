"""`TaskFlow(eager=True)`: tasks run where they are enqueued, for tests.

Arguments and results still go through JSON.
"""

from __future__ import annotations

import threading
from contextvars import copy_context
from typing import Any

from ..broker.commands.enqueue import NewTask
from ..errors import ResultNotKept, TaskFailed
from ..message.task_message import TaskMessage
from ..states import State
from . import context
from .registry import TaskOf
from .result import AsyncResult, ResultOf
from .result_info import ResultInfo
from .returned import is_awaitable, refuse_lazy
from .task import BaseTask


class EagerResult(AsyncResult[Any]):
    """The handle on a task that has already run.

    `get()` behaves as with a broker: a failure is `TaskFailed`, its cause the task's own exception; without
    `retention` there is no result. There is one attempt: retries are for workers.
    """

    def __init__(
        self,
        message: TaskMessage,
        data: bytes,
        error: BaseException | None,
        task: ResultOf | None = None,
        app: str = "",
    ) -> None:
        from ..client.client import Client

        client = Client("embedded://", app=app)
        super().__init__(client, message.id, message.queue, retention=message.retention, task=task)
        self._message = message
        self._data = data
        self._error = error

    def __reduce__(self) -> tuple[Any, ...]:
        name = self._task.name if self._task is not None else ""
        return restored, (self._message, self._data, self._error, self._client.app, name)

    @property
    def state(self) -> State | None:
        """Archived, completed, or None for a task without `retention`."""
        if self._error is not None:
            return State.ARCHIVED
        return State.COMPLETED if self._message.retention else None

    def get(self, timeout: float | None = None) -> Any:
        """What the task returned."""
        if self._error is not None:
            raise TaskFailed(str(self._error) or type(self._error).__name__, task_id=self.id) from self._error
        if not self._message.retention:
            raise ResultNotKept(
                f"task {self.id} keeps no result; give it one with retention=<seconds>", task_id=self.id
            )
        return self._converted(self._data)

    async def aget(self, timeout: float | None = None) -> Any:
        """As `get`."""
        return self.get(timeout)

    def info(self) -> ResultInfo:
        """What a queue would know of the task."""
        message = self._message
        return ResultInfo(
            id=message.id,
            queue=message.queue,
            name=message.type,
            state=self.state or State.COMPLETED,
            retried=0,
            max_retries=message.max_retries,
            last_error=str(self._error or ""),
            last_failed_at=None,
            completed_at=None,
            retention=message.retention,
        )

    async def ainfo(self) -> ResultInfo:
        """As `info`."""
        return self.info()


def restored(
    message: TaskMessage, data: bytes, error: BaseException | None, app: str, name: str
) -> EagerResult:
    """A handle out of a pickle; its task, by which the result is converted, is looked for when it is first asked for."""
    return EagerResult(message, data, error, TaskOf(app, name) if name else None, app)


def run(task: BaseTask[Any, Any], new: NewTask, *, propagate: bool) -> EagerResult:
    """Run a task here.

    A coroutine runs on an event loop of its own, in a thread of its own if one runs here.
    """
    if not task.is_async:
        message = new.message
        return _settle(task, message, propagate)
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(arun(task, new, propagate=propagate))
    return _in_thread(task, new, propagate)


async def arun(task: BaseTask[Any, Any], new: NewTask, *, propagate: bool) -> EagerResult:
    """Run a task here, from a coroutine."""
    if not task.is_async:
        return run(task, new, propagate=propagate)
    message = new.message
    token = context.enter(context.direct(message))
    try:
        value = await task.call(task.decode(message.payload))
        while is_awaitable(value):
            value = await value
        refuse_lazy(value)
        return EagerResult(message, task.returns.encode(value), None, task, task.backend.name)
    except Exception as error:
        if propagate:
            raise
        return EagerResult(message, b"", error)
    finally:
        context.leave(token)


def _settle(task: BaseTask[Any, Any], message: TaskMessage, propagate: bool) -> EagerResult:
    token = context.enter(context.direct(message))
    try:
        value = _finished(task.call(task.decode(message.payload)))
        return EagerResult(message, task.returns.encode(value), None, task, task.backend.name)
    except Exception as error:
        if propagate:
            raise
        return EagerResult(message, b"", error)
    finally:
        context.leave(token)


def _finished(value: Any) -> Any:
    """What a function has returned; if that is to be awaited, what comes of it."""
    if is_awaitable(value):
        import asyncio  # both here for the start-up: most programs need neither
        from concurrent.futures import ThreadPoolExecutor

        async def wait(found: Any) -> Any:
            while is_awaitable(found):
                found = await found
            return found

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            value = asyncio.run(wait(value))
        else:
            own = copy_context()
            with ThreadPoolExecutor(1) as thread:
                value = thread.submit(own.run, asyncio.run, wait(value)).result()
    refuse_lazy(value)
    return value


def _in_thread(task: BaseTask[Any, Any], new: NewTask, propagate: bool) -> EagerResult:
    import asyncio

    outcome: list[EagerResult] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(asyncio.run(arun(task, new, propagate=propagate)))
        except BaseException as error:  # noqa: BLE001 - raised again below, in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return outcome[0]

"""Calls that are enqueued when the response has been sent, as Starlette's background tasks run then."""

from __future__ import annotations

from contextvars import Context, copy_context
from typing import ParamSpec, Protocol, TypeVar

from starlette.background import BackgroundTask, BackgroundTasks
from starlette.requests import HTTPConnection

from taskflow import AsyncResult, TaskFlow

from .dependencies import get_taskflow

P = ParamSpec("P")
R = TypeVar("R")


class Delays(Protocol[P, R]):
    """A task, or what its `.options(...)` gives."""

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Enqueue a call."""


class AfterResponse(BackgroundTask):
    """Gathers calls during a request, and enqueues them together when its response has been sent.

    In FastAPI it is a dependency, `Annotated[AfterResponse, Depends(after_response)]`; a response of Starlette's takes it as its
    `background`. A request that fails sends none. What cannot be enqueued then is an error in the server's log, of which the
    client hears nothing: what must not be lost is enqueued before the response.

    Args:
        taskflow: the app whose tasks are called.

    Example:
        >>> async def sign_up(request):                                     # doctest: +SKIP
        ...     after = AfterResponse(taskflow)
        ...     task = after.add_task(welcome, user=7)
        ...     return JSONResponse({"task": task.id}, 202, background=after)
    """

    def __init__(self, taskflow: TaskFlow) -> None:
        super().__init__(self._send)
        self._batch = taskflow.batch()
        self._context: Context | None = None

    def add_task(self, task: Delays[P, R], *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Take a call. Its arguments are checked now, and its id is known.

        Args:
            task: a task of this app, or what its `.options(...)` gives.
            *args: its arguments.
            **kwargs: those by name.

        Returns:
            The handle. In eager mode the task has run.

        Raises:
            EnqueueError: the arguments cannot be.
        """
        if self._context is None:
            # A context of its own: other calls of the same request are no part of the batch, and are sent when they are made.
            self._context = copy_context()
            self._context.run(self._batch.__enter__)
        return self._context.run(task.delay, *args, **kwargs)

    async def _send(self) -> None:
        if self._context is not None:
            await self._batch.__aexit__(None, None, None)


async def after_response(connection: HTTPConnection, background: BackgroundTasks) -> AfterResponse:
    """FastAPI's dependency: what is added is enqueued after the response, before the background tasks that are added later.

    Raises:
        ConfigurationError: the application has no app.
    """
    after = AfterResponse(await get_taskflow(connection))
    background.add_task(after)
    return after

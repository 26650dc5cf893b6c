"""`lifespan(taskflow)`: the app lives as long as the service does, and a worker in it, if that is wanted."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from taskflow import TaskFlow
from taskflow.errors import ConfigurationError

State = Mapping[str, Any] | None
"""What a lifespan yields: the state of each request, or nothing."""

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]
"""What `FastAPI(lifespan=...)` and `Starlette(lifespan=...)` take: a type where there is a state and another where there is none,
and neither is that of "a state or none".
"""

NAME = "taskflow"
"""Of the attribute of the application's state."""


def lifespan(
    taskflow: TaskFlow, own: Lifespan | None = None, *, worker: bool | Mapping[str, Any] = False
) -> Lifespan:
    """Make the lifespan of an application: `FastAPI(lifespan=lifespan(taskflow))`.

    The app is `application.state.taskflow` from before your own start on, and its connections are closed after your own end.

    Args:
        taskflow: the app.
        own: your own lifespan, around which this one is. In one that you write it is
            `async with lifespan(taskflow)(application):`, instead.
        worker: run tasks in this process, too: True, or what `TaskFlow.worker` takes, as {"concurrency": 5}. The worker starts
            after your own start and has stopped before your own end, so its tasks may use what is made there. In eager mode there
            is none.

    Raises:
        ConfigurationError: `own` is not decorated with `contextlib.asynccontextmanager`.

    Example:
        >>> @asynccontextmanager                                            # doctest: +SKIP
        ... async def own(api):
        ...     async with create_pool() as pool:
        ...         yield {"pool": pool}
        >>> api = FastAPI(lifespan=lifespan(taskflow, own))                 # doctest: +SKIP
    """
    if inspect.isasyncgenfunction(own) or inspect.isgeneratorfunction(own):
        raise ConfigurationError(
            f"{own.__qualname__} is a generator function; put @contextlib.asynccontextmanager above it to make it a lifespan"
        )
    options = dict(worker) if isinstance(worker, Mapping) else {}
    runs = bool(worker) or isinstance(worker, Mapping)

    @asynccontextmanager
    async def both(application: Any) -> AsyncIterator[State]:
        setattr(application.state, NAME, taskflow)
        async with AsyncExitStack() as stack:
            if not taskflow.eager:
                taskflow.client  # noqa: B018 - its import takes a tenth of a second, for which the first request would wait
            stack.callback(taskflow.close)
            stack.push_async_callback(taskflow.aclose)
            state = None if own is None else await stack.enter_async_context(own(application))
            if runs and not taskflow.eager:
                await stack.enter_async_context(taskflow.worker(**options))
            yield state

    return both

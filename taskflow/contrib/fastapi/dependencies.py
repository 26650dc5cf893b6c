"""What endpoints depend on: the app, and a task's handle by its id. Functions of Starlette's requests, which FastAPI fills in."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from taskflow import AsyncResult, TaskFlow
from taskflow.errors import ConfigurationError, InvalidTaskId

from .lifespan import NAME

UNKNOWN = "no task has this id: it is done and not kept, was deleted, or never existed"


async def get_taskflow(connection: HTTPConnection) -> TaskFlow:
    """The app of the application: `Annotated[TaskFlow, Depends(get_taskflow)]`; in Starlette, `await get_taskflow(request)`.

    Args:
        connection: a request, or a WebSocket.

    Raises:
        ConfigurationError: the application has none.
    """
    found: TaskFlow | None = getattr(connection.app.state, NAME, None)
    if found is None:
        raise ConfigurationError(
            "this application has no TaskFlow: make it with lifespan=lifespan(taskflow), and in tests enter its lifespan (with "
            "TestClient(application):); or, as in one that is mounted in another, set application.state.taskflow"
        )
    return found


async def get_result(task_id: str, connection: HTTPConnection) -> AsyncResult[Any]:
    """A handle on a task by the `task_id` in the path, or in the query: `Annotated[AsyncResult, Depends(get_result)]`; in
    Starlette, `await get_result(request.path_params["task_id"], request)`. Whoever knows an id gets its handle.

    Args:
        task_id: the id; the queues of the app are looked through for it, in one round trip.
        connection: a request, or a WebSocket.

    Raises:
        HTTPException: with 404, none of the app's queues knows the task.
        BrokerUnavailable: the broker does not answer.
    """
    taskflow = await get_taskflow(connection)
    try:
        result = taskflow.result(task_id)
    except InvalidTaskId as error:
        raise HTTPException(404, UNKNOWN) from error
    if await result.astate() is None:
        raise HTTPException(404, UNKNOWN)
    return result

"""The service: one endpoint enqueues, another shows the state of a task, a third streams what it says."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse

from taskflow import AsyncResult
from taskflow.contrib.fastapi import get_result, lifespan
from taskflow.contrib.fastapi.events import watch_response
from taskflow.errors import BrokerUnavailable

from .tasks import app, import_rows

api = FastAPI(lifespan=lifespan(app))

# By the task_id in the path; 404 where there is none.
Result = Annotated[AsyncResult[Any], Depends(get_result)]


@api.post("/imports", status_code=202)
async def start(rows: Annotated[int, Query(ge=1, le=10_000)]) -> dict[str, str]:
    task = await import_rows.adelay(rows)
    return {"id": task.id, "events": f"/imports/{task.id}/events"}


@api.get("/imports/{task_id}")
async def show(task: Result) -> dict[str, str | None]:
    return {"state": await task.astate()}


@api.get("/imports/{task_id}/events")
async def events(task: Result, request: Request) -> Response:
    return await watch_response(task, request)


@api.exception_handler(BrokerUnavailable)
async def broker_is_away(request: Request, error: BrokerUnavailable) -> JSONResponse:
    return JSONResponse({"detail": "try again later"}, 503)

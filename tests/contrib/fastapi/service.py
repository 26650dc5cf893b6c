"""A service with a worker in it, whose task goes on when it is told to: `uvicorn tests.contrib.fastapi.service:api`."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response

from taskflow import AsyncResult, TaskFlow, current_task
from taskflow.contrib.fastapi import get_result, lifespan
from taskflow.contrib.fastapi.events import watch_response

taskflow = TaskFlow("watched", queue="watched", retention=60, max_retries=0)
gates: dict[str, asyncio.Event] = defaultdict(asyncio.Event)


@taskflow.task
async def talk(secret: str, first: int, then: int, gate: str) -> dict[str, str]:
    """Says some lines, and more when its gate is opened; raises its secret if that is wanted."""
    task = current_task()
    for number in range(first):
        task.log(f"line {number + 1}")
    task.progress(first, first + then, "half")
    await gates[gate].wait()
    for number in range(first, first + then):
        task.log(f"line {number + 1}")
    if secret.startswith("raise"):
        raise ValueError(secret)
    return {"secret": secret, "open": "to all"}


worker = False if os.environ.get("WITHOUT_WORKER") else {"concurrency": 20, "grace": 2}
api = FastAPI(lifespan=lifespan(taskflow, worker=worker))
Result = Annotated[AsyncResult[Any], Depends(get_result)]


@api.post("/talk")
async def start(secret: str, first: int, then: int) -> str:
    gate = os.urandom(8).hex()
    started = await talk.adelay(secret, first, then, gate)
    gates[started.id] = gates[gate]
    return started.id


@api.post("/open/{task_id}")
async def open_gate(task_id: str) -> None:
    gates[task_id].set()


@api.get("/events/{task_id}")
async def events(result: Result, request: Request) -> Response:
    return await watch_response(result, request, heartbeat=0.2)


@api.get("/everything/{task_id}")
async def everything(result: Result, request: Request) -> Response:
    return await watch_response(
        result, request, errors=True, show=lambda value: {"open": value["open"]}, timeout=30
    )


@api.get("/shortly/{task_id}")
async def shortly(result: Result, request: Request) -> Response:
    return await watch_response(result, request, timeout=0.2)

"""A FastAPI application that enqueues in each request."""

from __future__ import annotations

from fastapi import FastAPI

from taskflow import TaskFlow
from taskflow.contrib.fastapi import lifespan

app = TaskFlow("served")
api = FastAPI(lifespan=lifespan(app))


@app.task(name="served")
def served(number: int) -> None:
    """What the requests enqueue."""


@api.get("/")
async def view() -> str:
    """On the event loop."""
    return (await served.adelay(1)).id


@api.get("/other")
def other() -> str:
    """FastAPI runs it in a thread."""
    return served.delay(1).id

"""taskflow in FastAPI, and in Starlette alone: a lifespan, dependencies, and calls after the response. See docs/fastapi.md.

`taskflow.contrib.fastapi.events` streams what a task does as Server-Sent Events; it needs `sse-starlette`. Nothing here needs
FastAPI itself, so an application of Starlette's has all of it.

Example:
    >>> from fastapi import FastAPI                                         # doctest: +SKIP
    >>> from taskflow import TaskFlow
    >>> from taskflow.contrib.fastapi import lifespan
    >>> taskflow = TaskFlow("shop")
    >>> api = FastAPI(lifespan=lifespan(taskflow))                          # doctest: +SKIP
"""

from .after_response import AfterResponse, after_response
from .dependencies import get_result, get_taskflow
from .lifespan import lifespan

__all__ = ["AfterResponse", "after_response", "get_result", "get_taskflow", "lifespan"]

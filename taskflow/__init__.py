"""A task queue for Python on Redis and Valkey, built for Redis Cluster, in Asynq's storage format.

Example:
    >>> from taskflow import TaskFlow
    >>> app = TaskFlow("shop")
    >>> @app.task(queue="images")
    ... def resize(src: str, width: int = 800) -> str:
    ...     return f"{src} at {width}"
    >>> resize.delay("a.png")      # doctest: +SKIP
"""

from . import errors
from ._version import __version__
from .app import Declaration, TaskFlow
from .batch import Batch
from .context import CurrentTask, current_task
from .errors import Reject, Retry
from .options import Options
from .partitions import QueueOptions
from .result import AsyncResult, ResultInfo
from .states import State
from .task import AsyncTask, MapItem, MapResult, Task

__all__ = [
    "AsyncResult",
    "AsyncTask",
    "Batch",
    "CurrentTask",
    "Declaration",
    "MapItem",
    "MapResult",
    "Options",
    "QueueOptions",
    "Reject",
    "ResultInfo",
    "Retry",
    "State",
    "Task",
    "TaskFlow",
    "__version__",
    "current_task",
    "errors",
]

"""A task queue for Python on Redis and Valkey, built for Redis Cluster, in Asynq's storage format.

Example:
    >>> from taskflow import TaskFlow
    >>> app = TaskFlow("shop")
    >>> @app.task(queue="images")
    ... def resize(src: str, width: int = 800) -> str:
    ...     return f"{src} at {width}"
    >>> resize.delay("a.png")      # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import errors
from ._version import __version__

if TYPE_CHECKING:
    from .app import TaskFlow
    from .batch import Batch
    from .context import CurrentTask, current_task
    from .errors import Reject, Retry
    from .mapping import MapItem, MapResult
    from .options import Declaration, Options
    from .partitions import QueueOptions
    from .result import AsyncResult
    from .result_info import ResultInfo
    from .states import State
    from .task import AsyncTask, Task

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

_HOMES = {
    "AsyncResult": "result",
    "AsyncTask": "task",
    "Batch": "batch",
    "CurrentTask": "context",
    "Declaration": "options",
    "MapItem": "mapping",
    "MapResult": "mapping",
    "Options": "options",
    "QueueOptions": "partitions",
    "Reject": "errors",
    "ResultInfo": "result_info",
    "Retry": "errors",
    "State": "states",
    "Task": "task",
    "TaskFlow": "app",
    "current_task": "context",
}
"""The modules of the names above. They are imported when a name is first asked for: a worker process, which never runs tasks,
needs none of them, and starts its children before it imports what it does need.
"""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

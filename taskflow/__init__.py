"""A task queue for Python on Redis and Valkey, built for Redis Cluster, in Asynq's storage format.

Example:
    >>> from taskflow import TaskFlow
    >>> app = TaskFlow("shop")
    >>> @app.task(queue="images")
    ... def resize(src: str, width: int = 800) -> str:
    ...     return f"{src} at {width}"
    >>> resize.delay("a.png")      # doctest: +SKIP
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import errors
from ._version import __version__

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from .errors import Reject, Retry
    from .inspector import AsyncInspector, Inspector
    from .options import Declaration, Options
    from .partitions import QueueOptions
    from .states import State
    from .tasks.app import TaskFlow
    from .tasks.batch import Batch
    from .tasks.context import CurrentTask, current_task
    from .tasks.mapping import MapItem, MapResult
    from .tasks.result import AsyncResult
    from .tasks.result_info import ResultInfo
    from .tasks.task import AsyncTask, Task

__all__ = [
    "AsyncInspector",
    "AsyncResult",
    "AsyncTask",
    "Batch",
    "CurrentTask",
    "Declaration",
    "Inspector",
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
    "AsyncInspector": "inspector",
    "AsyncResult": "tasks.result",
    "AsyncTask": "tasks.task",
    "Batch": "tasks.batch",
    "CurrentTask": "tasks.context",
    "Declaration": "options",
    "Inspector": "inspector",
    "MapItem": "tasks.mapping",
    "MapResult": "tasks.mapping",
    "Options": "options",
    "QueueOptions": "partitions",
    "Reject": "errors",
    "ResultInfo": "tasks.result_info",
    "Retry": "errors",
    "State": "states",
    "Task": "tasks.task",
    "TaskFlow": "tasks.app",
    "current_task": "tasks.context",
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


class _Earlier:
    """Finds modules under the names that they had in 0.1: pickled handles and what was sent by value hold these names."""

    modules = ("app", "batch", "context", "declaration", "eager", "mapping", "result", "result_info", "task")

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        package, _, module = name.rpartition(".")
        if package != __name__ or module not in cls.modules:
            return None
        from importlib.machinery import ModuleSpec  # only here: who reads no such pickle has no use for it

        return ModuleSpec(name, cls)  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: "ModuleSpec") -> None:
        """As Python does it."""

    @staticmethod
    def exec_module(module: "ModuleType") -> None:
        home = import_module(f".tasks.{module.__name__.rpartition('.')[2]}", __name__)
        this = sys.modules[__name__]
        vars(module)["__getattr__"] = lambda name: getattr(this if name in _HOMES else home, name)


sys.meta_path.append(_Earlier)

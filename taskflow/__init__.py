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

    from . import events
    from .attempts import FailedAttempt
    from .client.handing_over import Delivery
    from .errors import Cancel, Reject, Retry, Snooze
    from .inspector import AsyncInspector, Inspector
    from .inspector.cancelling import CancelCounts
    from .message.ready import ReadyTask
    from .message.report import LogLine, Progress
    from .options import Declaration, Defaults, Options
    from .partitions import QueueOptions
    from .states import CancelOutcome, State
    from .tasks.app import TaskFlow
    from .tasks.batch import Batch
    from .tasks.context import CurrentTask, current_task
    from .tasks.depends import INJECTED, Depends
    from .tasks.embedded_worker import EmbeddedWorker
    from .tasks.mapping import MapItem, MapResult
    from .tasks.outbox import Outbox
    from .tasks.outgoing import EnqueueCall, UnsentCall
    from .tasks.result import AsyncResult
    from .tasks.result_info import ResultInfo
    from .tasks.result_record import TaskRecord
    from .tasks.shared import shared_task
    from .tasks.task import AsyncTask, Task
    from .tasks.watching import LogLines, StateChanged, Verdict

__all__ = [
    "INJECTED",
    "AsyncInspector",
    "AsyncResult",
    "AsyncTask",
    "Batch",
    "Cancel",
    "CancelCounts",
    "CancelOutcome",
    "CurrentTask",
    "Declaration",
    "Defaults",
    "Delivery",
    "Depends",
    "EmbeddedWorker",
    "EnqueueCall",
    "FailedAttempt",
    "Inspector",
    "LogLine",
    "LogLines",
    "MapItem",
    "MapResult",
    "Options",
    "Outbox",
    "Progress",
    "QueueOptions",
    "ReadyTask",
    "Reject",
    "ResultInfo",
    "Retry",
    "Snooze",
    "State",
    "StateChanged",
    "Task",
    "TaskFlow",
    "TaskRecord",
    "UnsentCall",
    "Verdict",
    "__version__",
    "current_task",
    "errors",
    "events",
    "shared_task",
]

_HOMES = {
    "AsyncInspector": "inspector",
    "AsyncResult": "tasks.result",
    "AsyncTask": "tasks.task",
    "Batch": "tasks.batch",
    "Cancel": "errors",
    "CancelCounts": "inspector.cancelling",
    "CancelOutcome": "states",
    "CurrentTask": "tasks.context",
    "Declaration": "options",
    "Defaults": "options",
    "Delivery": "client.handing_over",
    "Depends": "tasks.depends",
    "INJECTED": "tasks.depends",
    "EmbeddedWorker": "tasks.embedded_worker",
    "EnqueueCall": "tasks.outgoing",
    "FailedAttempt": "attempts",
    "Inspector": "inspector",
    "LogLine": "message.report",
    "LogLines": "tasks.watching",
    "MapItem": "tasks.mapping",
    "MapResult": "tasks.mapping",
    "Options": "options",
    "Outbox": "tasks.outbox",
    "Progress": "message.report",
    "QueueOptions": "partitions",
    "ReadyTask": "message.ready",
    "Reject": "errors",
    "ResultInfo": "tasks.result_info",
    "Retry": "errors",
    "Snooze": "errors",
    "State": "states",
    "StateChanged": "tasks.watching",
    "Task": "tasks.task",
    "TaskFlow": "tasks.app",
    "TaskRecord": "tasks.result_record",
    "UnsentCall": "tasks.outgoing",
    "Verdict": "tasks.watching",
    "current_task": "tasks.context",
    "shared_task": "tasks.shared",
}
"""The modules of the names above. They are imported when a name is first asked for: a worker process, which never runs tasks,
needs none of them, and starts its children before it imports what it does need.
"""


def __getattr__(name: str) -> Any:
    if name == "events":
        return import_module(".events", __name__)  # which puts itself here
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{_hint(name)}")
    value = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return value


def _hint(name: str) -> str:
    """What is said of a name of Celery's. An import of it is answered by `_Earlier`, which is asked for a module of this name."""
    if name.startswith("_"):
        return ""
    from .options.refused import NAMES

    return f": {NAMES[name]}" if name in NAMES else ""


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Earlier:
    """Finds modules under the names that they had in 0.1: pickled handles and what was sent by value hold these names."""

    modules = ("app", "batch", "context", "declaration", "eager", "mapping", "result", "result_info", "task")

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        package, _, module = name.rpartition(".")
        if package != __name__ or module not in cls.modules:
            if package == __name__ and (hint := _hint(module)):
                raise ImportError(f"taskflow has no {module}{hint}", name=name)
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

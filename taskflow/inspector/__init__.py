"""Reads and administers queues, tasks and workers, also those that only Go has touched."""

from ..telemetry.escape import printable
from .ages import parse_age
from .aio import AsyncInspector
from .cancelling import STATES as CANCELLABLE
from .filters import TaskFilter
from .inspector import Inspector
from .moving import ARCHIVABLE, DELETABLE, RUNNABLE
from .texts import arguments_text, error_text, headers_text, result_text
from .values import (
    ClusterFacts,
    ClusterQueue,
    DayCounts,
    GroupInfo,
    Node,
    NodeFacts,
    Problem,
    QueueInfo,
    RunningTask,
    ServerView,
    Stats,
    TaskInfo,
    TaskPage,
)

__all__ = [
    "ARCHIVABLE",
    "CANCELLABLE",
    "DELETABLE",
    "RUNNABLE",
    "AsyncInspector",
    "ClusterFacts",
    "ClusterQueue",
    "DayCounts",
    "GroupInfo",
    "Inspector",
    "Node",
    "NodeFacts",
    "Problem",
    "QueueInfo",
    "RunningTask",
    "ServerView",
    "Stats",
    "TaskFilter",
    "TaskInfo",
    "TaskPage",
    "arguments_text",
    "error_text",
    "headers_text",
    "parse_age",
    "printable",
    "result_text",
]

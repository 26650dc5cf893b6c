"""Reads and administers queues, tasks and workers, also those that only Go has touched."""

from .aio import AsyncInspector
from .inspector import Inspector
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
    "TaskInfo",
    "TaskPage",
]

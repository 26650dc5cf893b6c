"""What a worker says when it starts (pure)."""

from __future__ import annotations

from collections.abc import Mapping

from .._version import __version__
from ..pipe.frames import Hello
from .config import WorkerConfig

_TASKS_SHOWN = 50


def banner(config: WorkerConfig, hello: Hello, broker: str, queues: Mapping[str, int]) -> str:
    """The app, its tasks, the queues and the broker, without its password."""
    order = "strict" if config.strict else "weighted"
    shown = [f"{name}={weight}{_over(hello, name)}" for name, weight in queues.items()]
    lines = [
        f"taskflow {__version__} worker for {hello.app} ({config.app})",
        f"  broker       {broker}",
        f"  concurrency  {config.total} ({config.pool}, {config.children} "
        f"{'process' if config.children == 1 else 'processes'} of {config.slots})",
        f"  queues       {', '.join(shown)} ({order})",
        "  tasks",
        *(f"    {task.name}  (queue {task.queue})" for task in hello.tasks[:_TASKS_SHOWN]),
    ]
    if len(hello.tasks) > _TASKS_SHOWN:
        lines.append(f"    and {len(hello.tasks) - _TASKS_SHOWN} more")
    if not hello.tasks:
        lines.append("    none: are the modules with the tasks imported by the app's module?")
    return "\n".join(lines)


def _over(hello: Hello, queue: str) -> str:
    count = hello.partitions.get(queue, 1)
    return f" over {count} partitions" if count > 1 else ""

"""What a worker says when it starts (pure)."""

from __future__ import annotations

from collections.abc import Mapping

from .._version import __version__
from ..pipe.frames import Hello
from .children.beside import wanted_beside
from .config import WorkerConfig

_TASKS_SHOWN = 50


def banner(config: WorkerConfig, hello: Hello, broker: str, queues: Mapping[str, int]) -> str:
    """The app, its tasks, the queues and the broker, without its password."""
    order = "strict" if config.strict else "weighted"
    shown = [f"{name}={weight}{_over(hello, name)}" for name, weight in queues.items()]
    lines = [
        f"taskflow {__version__} worker for {hello.app} ({config.app})",
        f"  broker       {broker}",
        *([f"               the development server of {hello.project}"] if hello.project else []),
        f"  concurrency  {_concurrency(config)}",
        *_beside(config, hello),
        f"  queues       {', '.join(shown)} ({order})",
        "  tasks",
        *(f"    {task.name}  (queue {task.queue})" for task in hello.tasks[:_TASKS_SHOWN]),
    ]
    if len(hello.tasks) > _TASKS_SHOWN:
        lines.append(f"    and {len(hello.tasks) - _TASKS_SHOWN} more")
    if not hello.tasks:
        lines.append("    none: are the modules with the tasks imported by the app's module?")
    return "\n".join(lines)


def _concurrency(config: WorkerConfig) -> str:
    most = config.most_children
    children = f"{most} {'process' if most == 1 else 'processes'} of {config.slots}"
    if config.least == config.concurrency:
        return f"{config.total} ({config.pool}, {children})"
    return f"{config.least * config.processes} to {config.total} ({config.pool}, at most {children})"


def _beside(config: WorkerConfig, hello: Hello) -> list[str]:
    """What runs the tasks that ask for the other pool."""
    wanted = wanted_beside(config, hello)
    if wanted is None:
        return []
    apart, tasks, _ = wanted
    count = f"{len(tasks)} task{'s' if len(tasks) > 1 else ''}"
    return [f'  and          {_concurrency(apart)} for the {count} with pool="{apart.pool}"']


def _over(hello: Hello, queue: str) -> str:
    count = hello.partitions.get(queue, 1)
    return f" over {count} partitions" if count > 1 else ""

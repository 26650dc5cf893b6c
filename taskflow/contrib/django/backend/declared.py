"""The tasks of Django's that this process knows, each of which is a task of taskflow's by the path of its function."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from django.tasks import Task
from django.utils.module_loading import import_string

from taskflow import shared_task

_tasks: dict[str, Task] = {}
"""By the path of the function, as they were declared."""


def is_declared(task: Task) -> bool:
    """Whether a worker in this process could run it."""
    known = _tasks.get(task.module_path)
    return known is not None and known.func is task.func


def declare(task: Task, options: Mapping[str, Any]) -> None:
    """Make it a task of taskflow's, too.

    Args:
        task: as it is declared.
        options: of the declaration.

    Raises:
        InvalidOption: one cannot be; so it is with UnknownOption.
    """
    # Only here: it is imported by whoever declares tasks, and runs none.
    from .running import runner_of

    name = task.module_path
    shared_task(**{**options, "name": name, "queue": task.queue_name})(runner_of(name, task.func))
    _tasks[name] = task


def declared(name: str) -> Task | None:
    """The task of this path, as it was declared; None: it is no task of Django's.

    Raises:
        ImportError: there is no such function any more.
    """
    if (known := _tasks.get(name)) is not None:
        return known
    found = import_string(name)
    return found if isinstance(found, Task) else None


def all_tasks() -> list[Task]:
    """Those of the modules that are imported, whichever backend they were declared with: a call may choose another one."""
    found: list[Task] = []
    for module in list(sys.modules.values()):
        for value in list(getattr(module, "__dict__", {}).values()):
            if isinstance(value, Task) and value.func.__module__ == module.__name__:
                found.append(value)
    return found

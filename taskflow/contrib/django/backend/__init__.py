"""Django 6's own tasks on taskflow: `TASKS = {"default": {"BACKEND": "taskflow.contrib.django.TaskFlowBackend"}}`.

See docs/django-tasks.md.

Example:
    >>> from django.tasks import task                                    # doctest: +SKIP
    >>> @task(max_retries=5, timeout=30)
    ... def resize(src: str) -> str: ...
    >>> resize.enqueue("a.png").id                                       # doctest: +SKIP
    'f9c4…'
"""

from __future__ import annotations

import django

if django.VERSION < (6,):
    raise ImportError(
        f"django.tasks is a part of Django 6, and this is Django {django.__version__}: declare tasks with "
        "taskflow.shared_task, which every supported Django has (docs/django.md)"
    )

from .backend import TaskFlowBackend
from .task import TaskFlowTask, options

__all__ = ["TaskFlowBackend", "TaskFlowTask", "options"]

"""Workers know the tasks of `django.tasks`, where Django has that and `TASKS` has this package's backend."""

from __future__ import annotations

from functools import partial

import django

from taskflow import TaskFlow


def attach(app: TaskFlow) -> None:
    """Have each child of a worker find them."""
    if django.VERSION >= (6,):
        app.on_child_start(partial(find, app))


def find(app: TaskFlow) -> None:
    """Declare the tasks of all modules that are imported, and the queues that calls of them may go to.

    Those whose backend is ours are declared already; a call may choose this backend for any other.
    """
    # Only here: who enqueues with no such task has no use for it.
    from django.tasks import task_backends

    from .backend import TaskFlowBackend
    from .backend.declared import all_tasks, is_declared

    backends = [one for one in task_backends.all(initialized_only=False) if isinstance(one, TaskFlowBackend)]
    if not backends:
        return
    app.add_queues(*(queue for one in backends for queue in sorted(one.queues)))
    for task in all_tasks():
        if not is_declared(task):
            backends[0].declare(task)

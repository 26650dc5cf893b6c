"""The backend under the names of Django's own, with what their tests ask of those besides a backend's methods.

It is imported as `upstream_backends` by `run.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from django.tasks import TaskResult

from taskflow.contrib.django import TaskFlowBackend, get_app


class DummyBackend(TaskFlowBackend):
    """On a server, and nobody runs anything."""

    def __init__(self, alias: str, params: Any) -> None:
        super().__init__(alias, params)
        self._enqueued: list[tuple[str, str]] = []

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> TaskResult:
        return self._noted(super().enqueue(task, args, kwargs))

    async def aenqueue(self, task: Any, args: Any, kwargs: Any) -> TaskResult:
        return self._noted(await super().aenqueue(task, args, kwargs))

    def _noted(self, result: TaskResult) -> TaskResult:
        self._enqueued.append((result.task.queue_name, result.id))
        return result

    @property
    def results(self) -> list[TaskResult]:
        """What the server has."""
        return [self.get_result(id) for _, id in self._enqueued]

    def clear(self) -> None:
        """Delete it there."""
        for queue, id in self._enqueued:
            get_app().inspector.delete(queue, id)
        self._enqueued.clear()


class ImmediateBackend(TaskFlowBackend):
    """In eager mode."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> TaskResult:
        with eager():
            return super().enqueue(task, args, kwargs)

    async def aenqueue(self, task: Any, args: Any, kwargs: Any) -> TaskResult:
        with eager():
            return await super().aenqueue(task, args, kwargs)

    def get_result(self, result_id: str) -> TaskResult:
        with eager():
            return super().get_result(result_id)

    async def aget_result(self, result_id: str) -> TaskResult:
        with eager():
            return await super().aget_result(result_id)


@contextlib.contextmanager
def eager() -> Iterator[None]:
    """Eager mode for a while."""
    app = get_app()
    app.eager = True
    try:
        yield
    finally:
        app.eager = False

"""Handles on tasks of eager mode: what a queue would say of tasks that have already run."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from ..broker.command import TIMEOUT
from ..broker.commands.read import Snapshot
from ..errors import ResultTimeout, TaskFailed
from ..message.message_crypto import MessageCrypto
from ..states import State
from .registry import ClientOf, TaskOf
from .result import AsyncResult
from .verdict import ResultOf

MOST_KEPT = 10_000
"""Tasks of an app that can be asked for by id: the latest."""

_UNKNOWN = Snapshot(None, None, None, "")


class Kept:
    """What a broker would keep: tasks that are archived or put back, and completed ones as long as their `retention` says."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, str], tuple[Snapshot, float]] = {}
        """Each with the end of its retention, on the monotonic clock."""
        self._lock = threading.Lock()

    def put(self, queue: str, task_id: str, snapshot: Snapshot) -> None:
        """Keep a task, or forget it if nothing of it is to be kept."""
        seconds = float("inf")
        if snapshot.state == State.COMPLETED and snapshot.message is not None:
            seconds = snapshot.message.retention
        with self._lock:
            self._tasks.pop((queue, task_id), None)
            if snapshot.state is None:
                return
            self._tasks[queue, task_id] = snapshot, time.monotonic() + seconds
            if len(self._tasks) > MOST_KEPT:
                del self._tasks[next(iter(self._tasks))]

    def get(self, queue: str, task_id: str) -> Snapshot:
        """What is known of a task."""
        snapshot, until = self._tasks.get((queue, task_id), (_UNKNOWN, 0.0))
        return snapshot if time.monotonic() < until else _UNKNOWN


@dataclass(frozen=True, slots=True)
class EagerClient:
    """What a handle needs of a client: the app's name, and its keys."""

    app: str
    crypto: MessageCrypto


class EagerResult(AsyncResult[Any]):
    """The handle on a task of eager mode. It behaves as one on a task that a worker has run.

    The cause of a `TaskFailed` is the task's own exception, where this process has it.

    Args:
        client: of the app.
        task_id: the task's id.
        queue: its queue.
        found: the task, or where to look for it.
        task: whose result it is.
        error: what the task failed with.
    """

    def __init__(
        self,
        client: Any,
        task_id: str,
        queue: str,
        found: Snapshot | Kept,
        *,
        task: ResultOf | None = None,
        error: BaseException | None = None,
    ) -> None:
        super().__init__(client, task_id, queue, task=task)
        self._found = found
        self._error = error

    def __reduce__(self) -> tuple[Any, ...]:
        name = self._task.name if self._task is not None else ""
        return restored, (self._client.app, self.id, self.queue, self._read(), name, self._error)

    def _read(self, timeout: float = TIMEOUT) -> Snapshot:
        found = self._found
        return found.get(self.queue, self.id) if isinstance(found, Kept) else found

    async def _aread(self, timeout: float = TIMEOUT) -> Snapshot:
        return self._read()

    def _has_ended(self, snapshot: Snapshot) -> bool:
        try:
            if super()._has_ended(snapshot):
                return True
        except TaskFailed as error:
            raise error from self._error
        # Nobody will run it while one waits.
        raise ResultTimeout(
            f"task {self.id} has no verdict: it is in state {snapshot.state}, and in eager mode nothing takes it from there",
            task_id=self.id,
        )


def restored(
    app: str, task_id: str, queue: str, found: Snapshot, name: str, error: BaseException | None
) -> EagerResult:
    """A handle out of a pickle; its app and task are looked for when they are first asked for."""
    task = TaskOf(app, name) if name else None
    return EagerResult(ClientOf(app), task_id, queue, found, task=task, error=error)

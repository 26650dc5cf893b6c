"""Handles on tasks of eager mode: what a queue would say of tasks that have already run."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from ..broker.command import TIMEOUT
from ..broker.commands.read import Snapshot
from ..broker.said import Said, said_in
from ..broker.words import Moved
from ..errors import AmbiguousTaskId, ResultTimeout, TaskFailed
from ..message.message_crypto import MessageCrypto
from ..states import State
from .eager_watch import ToldWatch
from .registry import ClientOf, TaskOf
from .result import AsyncResult
from .result_facts import check_forgotten
from .verdict import PENDING, ResultOf
from .watch import Watch

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

    def queues_with(self, task_id: str) -> list[str]:
        """The queues in which a task of this id is known, sorted."""
        with self._lock:
            queues = [queue for queue, kept in self._tasks if kept == task_id]
        return sorted(queue for queue in queues if self.get(queue, task_id) is not _UNKNOWN)

    def forget(self, queue: str, task_id: str) -> None:
        """Keep it no longer."""
        with self._lock:
            self._tasks.pop((queue, task_id), None)

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
    """

    _found: Snapshot | None
    _kept: Kept | None = None
    _error: BaseException | None

    @classmethod
    def _ran(
        cls,
        client: Any,
        task_id: str,
        queue: str,
        found: Snapshot | None,
        kept: Kept | None = None,
        *,
        task: ResultOf | None = None,
        error: BaseException | None = None,
    ) -> EagerResult:
        """A handle.

        Args:
            client: of the app.
            task_id: the task's id.
            queue: its queue; "": whichever has it.
            found: the task; None: it is looked for in what is kept.
            kept: what is kept of all tasks, where this process has that.
            task: whose result it is.
            error: what the task failed with.
        """
        self = cls._of(client, task_id, queue, task=task)
        self._found = found
        self._kept = kept
        self._error = error
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        name = self._task.name if self._task is not None else ""
        return restored, (self._client.app, self.id, self.queue, self._read(), name, self._error)

    def _read(self, timeout: float = TIMEOUT) -> Snapshot:
        if self._found is not None or self._kept is None:
            return self._found or _UNKNOWN
        if not self.queue and (queues := self._kept.queues_with(self.id)):
            if len(queues) > 1:
                raise AmbiguousTaskId(self.id, queues)
            self.queue = queues[0]
        return self._kept.get(self.queue, self.id)

    def _is_lost(self) -> bool:
        return True  # nobody will run it: there is nothing to cancel

    def watch(self, timeout: float | None = None) -> Watch:
        """As on a broker, of what has happened already."""
        snapshot = self._read()
        return ToldWatch(self.id, snapshot, self._said_in(snapshot))

    def _said(self) -> Said:
        return self._said_in(self._read())

    async def _asaid(self) -> Said:
        return self._said()

    def _said_in(self, snapshot: Snapshot) -> Said:
        return said_in(snapshot.said, snapshot.said_at, self._client.crypto, self.queue, self.id)

    @property
    def _asked(self) -> str:
        return super()._asked if self.queue else "no queue knows"

    def forget(self) -> None:
        """As on a broker."""
        state = self._read().state
        has_ended = state is None or state in (State.COMPLETED, State.ARCHIVED)
        check_forgotten(Moved.MOVED if has_ended else Moved.HAS_NOT_ENDED, self.id, self.queue)
        self._value, self._found = PENDING, _UNKNOWN
        if self._kept is not None:
            self._kept.forget(self.queue, self.id)

    async def aforget(self) -> None:
        """As `forget`."""
        self.forget()

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
    return EagerResult._ran(ClientOf(app), task_id, queue, found, task=task, error=error)

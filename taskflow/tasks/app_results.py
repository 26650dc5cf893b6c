"""An app and the results of its tasks: handles on those that were enqueued elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..message.ids import check_queue_name, check_task_id
from ..options import DEFAULT_QUEUE
from ..partitions import check_own_queue
from .app_broker import AppBroker
from .result import AsyncResult
from .verdict import ResultOf

Handle = AsyncResult[Any]


class AppResults(AppBroker):
    """The part of an app that finds tasks again; `TaskFlow` sets what is declared here."""

    _aggregations: Mapping[str, object]
    _queues: dict[str, None]
    """Those that no task names for its own."""

    def add_queues(self, *queues: str) -> None:
        """Name queues that calls go to, and no task is declared for: workers without `-Q` serve them, too, and `result(id)`
        looks into them.

        Args:
            *queues: their names. For a worker they are to be named when its app is imported, or by `on_child_start`.

        Raises:
            InvalidQueueName: a name cannot be.

        Example:
            >>> app.add_queues("urgent")                                # doctest: +SKIP
            >>> send.options(queue="urgent").delay(17)                  # doctest: +SKIP
        """
        self._queues |= dict.fromkeys(check_own_queue(check_queue_name(queue)) for queue in queues)

    def result(self, task_id: str, *, queue: str | Iterable[str] | None = None) -> Handle:
        """A handle on a task that was enqueued elsewhere, by Python or by Go. Its result is what its JSON holds: whose it is
        is not known here (`task.result(id)` knows it). In eager mode, on a task that this app has run.

        Nothing is asked yet: what the handle is asked for looks for the task.

        Args:
            task_id: its id.
            queue: its queue, or several in which it may be. Without it, all queues of the app's are asked together, in one round
                trip for each node: those of its tasks, those that it has options for, and its default queue. Of a queue with
                partitions all are asked, unless one is named.

        Returns:
            A handle. An id is unique within a queue only: where two of the queues have it, the handle raises `AmbiguousTaskId`.

        Example:
            >>> app.result("order-17").get(timeout=10)                  # doctest: +SKIP
        """
        return self._result(task_id, queue, None)

    AsyncResult = result
    """Celery's name for it."""

    def _result(self, task_id: str, queue: str | Iterable[str] | None, task: ResultOf | None) -> Handle:
        """A handle whose result is converted as that of this task."""
        check_task_id(task_id)
        queues = [queue] if isinstance(queue, str) else [*(queue or ())]
        for name in queues:
            check_queue_name(name)
        if self.eager:
            return self._runs_here.result(task_id, queue if isinstance(queue, str) else "", task)
        places = {name: self._partitions.get(name, 0) for name in queues} or self._places()
        return AsyncResult._somewhere(self.client, task_id, places, task=task)

    def _discover(self) -> None:
        """Import what has tasks and was put off (`AppTasks`)."""
        raise NotImplementedError

    def _places(self) -> dict[str, int]:
        """All queues of the app, each with its number of partitions, or 0."""
        self._discover()
        names = dict.fromkeys([self._defaults.queue or DEFAULT_QUEUE])
        names |= dict.fromkeys(task.queue for task in self.tasks.values())
        names |= dict.fromkeys([*self._partitions, *self._aggregations, *self._queues])
        return {name: self._partitions.get(name, 0) for name in names}

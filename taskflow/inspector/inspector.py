"""The inspector: reads and administers queues, tasks and workers, whoever wrote them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from ..broker.command import Plain
from ..broker.commands.enqueue import publish_queues
from ..broker.commands.queues import pause, resume
from ..broker.keys import CANCEL_CHANNEL
from ..broker.sync import Broker
from ..connection.steps import Request
from ..errors import IllegalMove, QueueNotFound, TaskNotFound
from ..message.seal import Seal
from ..partitions import split
from ..states import State
from . import cluster, doctor, facts, moving, partitions, queues, removal, search, servers, tasks
from .values import (
    ClusterQueue,
    DayCounts,
    GroupInfo,
    QueueInfo,
    ServerView,
    Stats,
    TaskInfo,
    TaskPage,
)


class Inspector:
    """Reads and administers a server, a Sentinel service or a cluster, also queues that only Go has touched.

    Every method raises `BrokerError` when the broker does not answer. What names a queue raises
    `QueueNotFound` when there is nothing of such a queue: neither its name in the index nor one of its keys.

    A queue with partitions is one queue here. Each partition may also be named for itself, as `images~1yo`.

    Args:
        broker: where to look.
        seal: an app's (`app.seal`), if results are to be checked with its keys; None: nobody looks.

    Example:
        >>> inspector = Inspector(Broker(SyncDriver("redis://localhost")))   # doctest: +SKIP
        >>> inspector.queue("images").pending                                # doctest: +SKIP
        3
    """

    def __init__(self, broker: Broker, seal: Seal | None = None) -> None:
        self._broker = broker
        self._seal = seal

    # --- queues ------------------------------------------------------------------------------------

    def queue_names(self) -> list[str]:
        """The names of all queues that clients or workers have made known, sorted."""
        return sorted({split(name)[0] for name in queues.all_names(self._broker)})

    def queues(self) -> list[QueueInfo]:
        """All these queues, counted. One that cannot be read says why in `problem`; the others are there."""
        return queues.all_queues(self._broker)

    def queue(self, name: str) -> QueueInfo:
        """One queue, counted."""
        return queues.one_queue(self._broker, name)

    def history(self, name: str, days: int = 10) -> list[DayCounts]:
        """What a queue did on the last `days` days (UTC; 90 are kept), newest first."""
        by_part = [queues.history(self._broker, part, days) for part in self._parts(name)]
        return [
            DayCounts(day[0].day, sum(one.processed for one in day), sum(one.failed for one in day))
            for day in zip(*by_part, strict=True)
        ]

    def groups(self, name: str) -> list[GroupInfo]:
        """The aggregation groups of a queue that have waiting tasks, sorted by name."""
        sizes: Counter[str] = Counter()
        for part in self._parts(name):
            sizes.update({group.name: group.size for group in queues.groups(self._broker, part)})
        return [GroupInfo(group, size) for group, size in sorted(sizes.items())]

    def pause(self, name: str, *, must_exist: bool = True) -> bool:
        """Let no worker take from a queue until it is resumed; False: it was paused already.

        Args:
            name: the queue.
            must_exist: False: also one that nobody has used yet. It is listed from then on.
        """
        order = partial(pause, whole=not split(name)[1])
        try:
            return self._on_all(name, order)
        except QueueNotFound:
            if must_exist:
                raise
        self._broker.run(publish_queues([name]))
        return self._on_all(name, order)

    def resume(self, name: str) -> bool:
        """Let workers take from a queue again; False: it was not paused."""
        return self._on_all(name, resume)

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a queue and everything that carries its name.

        Args:
            name: the queue.
            force: also when it holds tasks: they are deleted, completed ones and aggregation groups
                included. The queue is paused meanwhile.

        Raises:
            QueueNotEmpty: it holds tasks (without `force`), runs tasks, or gets new ones all the time.
        """
        parts = self._parts(name)
        if not force:
            for part in parts:
                removal.refuse_tasks(self._broker, part)
        for part in reversed(parts):
            removal.remove(self._broker, part, force=force)

    def purge(self, name: str) -> int:
        """Delete all tasks that have yet to run (pending, scheduled, retry, aggregating); their number."""
        return sum(moving.purge(self._broker, part) for part in self._parts(name))

    # --- tasks -------------------------------------------------------------------------------------

    def tasks(
        self, queue: str, state: State, *, page: int = 1, size: int = 30, group: str | None = None
    ) -> TaskPage:
        """A page of the tasks in a state, in the order in which they come up (archived: the oldest first).

        Those of a queue with partitions come partition by partition.

        Args:
            queue: the queue.
            state: which state.
            page: from 1.
            size: tasks on a page.
            group: for `aggregating`, one group; None: all groups, and what is being aggregated right now.
        """
        found = tasks.page_of_tasks(self._broker, self._parts(queue), state, page, size, group)
        return replace(found, tasks=tuple(tasks.judged(one, self._seal) for one in found.tasks))

    def task(self, queue: str, task_id: str) -> TaskInfo:
        """One task.

        Raises:
            TaskNotFound: the queue has no such task.
        """
        part = partitions.part_with(self._broker, queue, task_id)
        return tasks.judged(tasks.one_task(self._broker, part, task_id), self._seal)

    def find(self, task_id: str) -> str:
        """The queue that has a task of this id, among those that are listed; of one with partitions, the partition.

        Raises:
            TaskNotFound: none has.
            AmbiguousTaskId: several have.
        """
        return search.queue_with(self._broker, task_id)

    def queues_with(self, task_id: str) -> list[str]:
        """The listed queues that have a task of this id."""
        return search.queues_with(self._broker, task_id)

    def run(self, queue: str, task_id: str) -> None:
        """Let a task run now: move it to pending from scheduled, retry, archived, completed or aggregating.

        Raises:
            TaskNotFound: the queue has no such task.
            IllegalMove: it is pending or active already, or being aggregated.
        """
        self._move_one(moving.RUN, queue, task_id)

    def archive(self, queue: str, task_id: str) -> None:
        """Archive a task that waits, and release its unique lock; whoever waits for its result is told.

        Raises:
            TaskNotFound: the queue has no such task.
            IllegalMove: it is active, completed or archived, or being aggregated.
        """
        self._move_one(moving.ARCHIVE, queue, task_id)

    def delete(self, queue: str, task_id: str) -> None:
        """Delete a task that is not running, and release its unique lock.

        Also deletes what is no task any more: an id without a hash, a hash without a message.

        Raises:
            TaskNotFound: the queue has no such task.
            IllegalMove: it is active.
        """
        self._move_one(moving.DELETE, queue, task_id)

    def run_all(self, queue: str, state: State, group: str | None = None) -> int:
        """`run` for all tasks of a state; for `aggregating` those of a group, or of all groups. Their number.

        Not one atomic step but many bounded ones: it ends when as many were handled as there were at the
        beginning.

        Raises:
            IllegalMove: tasks in this state cannot be run.
        """
        return self._move_all(moving.RUN, queue, state, group)

    def archive_all(self, queue: str, state: State, group: str | None = None) -> int:
        """`archive` for all tasks of a state; as `run_all`."""
        return self._move_all(moving.ARCHIVE, queue, state, group)

    def delete_all(self, queue: str, state: State, group: str | None = None) -> int:
        """`delete` for all tasks of a state; as `run_all`."""
        return self._move_all(moving.DELETE, queue, state, group)

    def require_active(self, queue: str, task_id: str) -> None:
        """Make sure that a task is running.

        Raises:
            TaskNotFound: the queue has no such task.
            IllegalMove: it is in another state.
        """
        found = self.task(queue, task_id)
        if found.state is not State.ACTIVE:
            state = found.state.value if found.state else "in no state"
            raise IllegalMove(
                f"task {task_id!r} of queue {queue!r} is {state}, so there is nothing to cancel; "
                "`taskflow task archive` or `delete` keeps it from running"
            )

    def cancel(self, task_id: str) -> None:
        """Tell whoever runs the task, in whatever queue, to stop it.

        A message to the workers that listen right now, as in Asynq: nobody says whether one of them ran the
        task, and a task that waits is not touched (`archive` or `delete` it).
        """
        self._broker.run(Plain(("PUBLISH", CANCEL_CHANNEL, task_id), int))

    # --- workers and nodes -------------------------------------------------------------------------

    def servers(self) -> list[ServerView]:
        """The workers that run now, of ours and of Go's, sorted by host and pid."""
        return servers.all_servers(self._broker)

    def cluster_queues(self, names: Iterable[str] | None = None) -> list[ClusterQueue]:
        """All queues, or those named, with their key slot and the nodes that hold it, failed ones too; each partition of
        a queue stands for itself.

        Raises:
            ConfigurationError: the broker is not a cluster.
        """
        parts = None if names is None else partitions.listed_parts(self._broker, names)
        return cluster.cluster_queues(self._broker, parts)

    def stats(self) -> Stats:
        """Everything at a glance."""
        return facts.read_stats(self._broker)

    def examine(self, names: Sequence[str] = (), *, fix: bool = False) -> doctor.Diagnosis:
        """Find what is wrong with the servers and with what is stored: all queues, or those named.

        Args:
            names: the queues; empty: all.
            fix: put right what can be, and examine again: the findings are then what is still wrong.
        """
        parts = partitions.listed_parts(self._broker, names)
        return doctor.examine(self._broker, parts, fix=fix)

    # -----------------------------------------------------------------------------------------------

    def _parts(self, queue: str) -> list[str]:
        """The partitions of a queue, or itself; raises QueueNotFound."""
        queues.check_placed(self._broker, queue)
        parts = partitions.parts_of(self._broker, queue)
        if len(parts) == 1:
            queues.require(self._broker, parts[0])
        return parts

    def _on_all(self, queue: str, order: Callable[[str], Request]) -> bool:
        """Carry out an order on all partitions, also while one of them cannot be reached; whether it changed anything."""
        replies = self._broker.run_many([order(part) for part in self._parts(queue)])
        partitions.first_error(replies)
        return any(replies)

    def _move_one(self, order: moving.Order, queue: str, task_id: str) -> None:
        try:
            parts = [partitions.part_with(self._broker, queue, task_id)]
        except TaskNotFound:
            parts = partitions.parts_of(self._broker, queue)  # there may be an id without a task
        for part in parts[:-1]:
            with contextlib.suppress(TaskNotFound):
                moving.move_one(self._broker, order, part, task_id)
                return
        moving.move_one(self._broker, order, parts[-1], task_id)

    def _move_all(self, order: moving.Order, queue: str, state: State, group: str | None) -> int:
        return sum(moving.move_all(self._broker, order, part, state, group) for part in self._parts(queue))

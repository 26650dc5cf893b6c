"""The inspector: reads and administers queues, tasks and workers, whoever wrote them. Its code is in `aio.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..broker.sync import Broker
from ..connection.coroutines import complete
from ..message.message_crypto import MessageCrypto
from ..states import CancelOutcome, State
from . import doctor
from .aio import AsyncInspector
from .both import AnyBroker, ThreadBroker
from .cancelling import CancelCounts, Terminate
from .chosen import Chosen
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


class Inspector(Chosen):
    """Reads and administers a server, a Sentinel service or a cluster, also queues that only Go has touched.

    Every method raises `BrokerError` when the broker does not answer. What names a queue raises
    `QueueNotFound` when there is nothing of such a queue: neither its name in the index nor one of its keys.

    A queue with partitions is one queue here. Each partition may also be named for itself, as `images~1yo`.

    Args:
        broker: where to look.
        crypto: the keys of an app, if results are to be checked with them; None: nobody looks. `app.inspector` has its own.

    Example:
        >>> app.inspector.queue("images").pending                        # doctest: +SKIP
        3
    """

    _same: _InThread

    def __init__(self, broker: Broker, crypto: MessageCrypto | None = None) -> None:
        self._same = _InThread(broker, crypto)

    # --- queues ------------------------------------------------------------------------------------

    def queue_names(self) -> list[str]:
        """The names of all queues that clients or workers have made known, sorted."""
        return complete(self._same.queue_names())

    def queues(self) -> list[QueueInfo]:
        """All these queues, counted. One that cannot be read says why in `problem`; the others are there."""
        return complete(self._same.queues())

    def queue(self, name: str) -> QueueInfo:
        """One queue, counted."""
        return complete(self._same.queue(name))

    def history(self, name: str, days: int = 10) -> list[DayCounts]:
        """What a queue did on the last `days` days (UTC; 90 are kept), newest first."""
        return complete(self._same.history(name, days))

    def groups(self, name: str) -> list[GroupInfo]:
        """The aggregation groups of a queue that have waiting tasks, sorted by name."""
        return complete(self._same.groups(name))

    def pause(self, name: str, *, must_exist: bool = True) -> bool:
        """Let no worker take from a queue until it is resumed; False: it was paused already.

        Args:
            name: the queue.
            must_exist: False: also one that nobody has used yet. It is listed from then on.
        """
        return complete(self._same.pause(name, must_exist=must_exist))

    def resume(self, name: str) -> bool:
        """Let workers take from a queue again; False: it was not paused."""
        return complete(self._same.resume(name))

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a queue and everything that carries its name.

        Args:
            name: the queue.
            force: also when it holds tasks: they are deleted, completed ones and aggregation groups
                included. The queue is paused meanwhile.

        Raises:
            QueueNotEmpty: it holds tasks (without `force`), runs tasks, or gets new ones all the time.
        """
        complete(self._same.remove(name, force=force))

    def purge(self, name: str) -> int:
        """Delete all tasks that have yet to run (pending, scheduled, retry, aggregating); their number."""
        return complete(self._same.purge(name))

    # --- tasks -------------------------------------------------------------------------------------

    def tasks(
        self,
        queue: str,
        state: State,
        *,
        page: int = 1,
        size: int = 30,
        group: str | None = None,
        partition: str | None = None,
    ) -> TaskPage:
        """A page of the tasks in a state, in the order in which they come up (archived: the oldest first).

        Those of a queue with partitions come partition by partition.

        Args:
            queue: the queue.
            state: which state.
            page: from 1.
            size: tasks on a page.
            group: for `aggregating`, one group; None: all groups, and what is being aggregated right now.
            partition: one of the queue's partitions, by its name (`QueueInfo.parts`), as while another one is away; None: all.
        """
        return complete(
            self._same.tasks(queue, state, page=page, size=size, group=group, partition=partition)
        )

    def task(self, queue: str, task_id: str) -> TaskInfo:
        """One task.

        Raises:
            TaskNotFound: the queue has no such task.
        """
        return complete(self._same.task(queue, task_id))

    def find(self, task_id: str) -> str:
        """The queue that has a task of this id, among those that are listed; of one with partitions, the partition.

        Raises:
            TaskNotFound: none has.
            AmbiguousTaskId: several have.
        """
        return complete(self._same.find(task_id))

    def queues_with(self, task_id: str) -> list[str]:
        """The listed queues that have a task of this id."""
        return complete(self._same.queues_with(task_id))

    def run(self, queue: str, task_id: str) -> None:
        """Let a task run now: move it to pending from scheduled, retry, archived, completed or aggregating.

        Raises:
            TaskNotFound: the queue has no such task.
            IllegalMove: it is pending or active already, or being aggregated.
        """
        complete(self._same.run(queue, task_id))

    def archive(self, queue: str, task_id: str) -> None:
        """Archive a task that waits, and release its unique lock; whoever waits for its result is told.

        Raises:
            TaskNotFound: the queue has no such task.
            IllegalMove: it is active, completed or archived, or being aggregated.
        """
        complete(self._same.archive(queue, task_id))

    def delete(self, queue: str, task_id: str) -> None:
        """Delete a task that is not running, and release its unique lock.

        Also deletes what is no task any more: an id without a hash, a hash without a message.

        Raises:
            TaskNotFound: the queue has no such task.
            IllegalMove: it is active.
        """
        complete(self._same.delete(queue, task_id))

    def run_all(self, queue: str, state: State, group: str | None = None) -> int:
        """`run` for all tasks of a state; for `aggregating` those of a group, or of all groups. Their number.

        Not one atomic step but many bounded ones: it ends when as many were handled as there were at the
        beginning.

        Raises:
            IllegalMove: tasks in this state cannot be run.
        """
        return complete(self._same.run_all(queue, state, group))

    def archive_all(self, queue: str, state: State, group: str | None = None) -> int:
        """`archive` for all tasks of a state; as `run_all`."""
        return complete(self._same.archive_all(queue, state, group))

    def delete_all(self, queue: str, state: State, group: str | None = None) -> int:
        """`delete` for all tasks of a state; as `run_all`."""
        return complete(self._same.delete_all(queue, state, group))

    def require_active(self, queue: str, task_id: str) -> None:
        """Make sure that a task is running.

        Raises:
            TaskNotFound: the queue has no such task.
            IllegalMove: it is in another state.
        """
        complete(self._same.require_active(queue, task_id))

    def cancel(
        self, task_id: str, queue: str | None = None, *, terminate: Terminate = False
    ) -> CancelOutcome:
        """Cancel a task: one that waits is archived with the error "cancelled"; whoever runs it is told to stop it, and it is not
        run again, whatever becomes of that worker. A worker of Go's is told, and no more.

        Args:
            task_id: its id.
            queue: its queue; without it, the only one that has the task. If none has it, all workers are told to cancel it.
            terminate: True, or after how many seconds the process of a running task is killed.

        Raises:
            TaskNotFound: the queue has no such task.
            AmbiguousTaskId: several queues have, and none was named.
            IllegalMove: a program of Go's is just putting its group together.
        """
        return complete(self._same.cancel(task_id, queue, terminate=terminate))

    def cancel_all(
        self,
        *ids: str,
        queues: Sequence[str] | None = None,
        named: bool = True,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        state: State | str | Iterable[State | str] | None = None,
        terminate: Terminate = False,
        dry: bool = False,
    ) -> CancelCounts:
        """Cancel tasks by their ids, or all that match; `app.cancel` is for an app's own queues.

        Args:
            *ids: their ids.
            queues: where; None: in all queues that are listed.
            named: whether the names of the queues say which tasks are meant, if nothing else does.
            name: as for `app.cancel`; so are `headers`, `state` and `terminate`.
            headers: likewise.
            state: likewise.
            terminate: likewise.
            dry: only count what matches.

        Raises:
            InvalidOption: nothing says which tasks, or ids and something else do.
        """
        return complete(
            self._same.cancel_all(
                *ids,
                queues=queues,
                named=named,
                name=name,
                headers=headers,
                state=state,
                terminate=terminate,
                dry=dry,
            )
        )

    # --- workers and nodes -------------------------------------------------------------------------

    def servers(self) -> list[ServerView]:
        """The workers that run now, of ours and of Go's, sorted by host and pid. Where a node does not answer, theirs say so in
        `problem`.
        """
        return complete(self._same.servers())

    def cluster_queues(self, names: Iterable[str] | None = None) -> list[ClusterQueue]:
        """All queues, or those named, with their key slot and the nodes that hold it, failed ones too; each partition of
        a queue stands for itself.

        Raises:
            ConfigurationError: the broker is not a cluster.
        """
        return complete(self._same.cluster_queues(names))

    def stats(self) -> Stats:
        """Everything at a glance."""
        return complete(self._same.stats())

    def examine(self, names: Sequence[str] = (), *, fix: bool = False) -> doctor.Diagnosis:
        """Find what is wrong with the servers and with what is stored: all queues, or those named.

        Args:
            names: the queues; empty: all.
            fix: put right what can be, and examine again: the findings are then what is still wrong.
        """
        return complete(self._same.examine(names, fix=fix))


class _InThread(AsyncInspector):
    """The same for a thread's broker."""

    def __init__(self, broker: Broker, crypto: MessageCrypto | None) -> None:
        self._broker = ThreadBroker(broker)
        self._crypto = crypto

    async def _open(self) -> AnyBroker:
        return self._broker

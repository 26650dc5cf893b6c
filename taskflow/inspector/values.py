"""What the inspector gives: queues, tasks, workers and nodes as they are at one moment (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Literal

from ..attempts import FailedAttempt, reason_of
from ..broker.said import Said
from ..errors import InvalidOption
from ..message.task_message import TaskMessage
from ..states import State


def moment(unix_seconds: float | None) -> datetime | None:
    """A time as it is stored, or None for none and for what no calendar has."""
    if not unix_seconds:
        return None
    try:
        return datetime.fromtimestamp(unix_seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def known_state(state: str) -> State:
    """The state of this name: who calls may have its value only, as text. Raises InvalidOption."""
    try:
        return State(state)
    except ValueError:
        raise InvalidOption(f"there is no state {state!r}; there are {', '.join(State)}") from None


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """A queue.

    Args:
        name: its name.
        pending: tasks that wait for a worker; likewise the counts of the other six states.
        groups: aggregation groups with waiting tasks.
        orphans: ids that were found without a task.
        paused: whether workers leave it alone.
        processed: tasks that were processed today (UTC), failures included.
        failed: tasks that failed today.
        processed_total: tasks that were ever processed.
        failed_total: tasks that ever failed.
        latency: how long the oldest pending task has been waiting; zero when nothing waits or nobody knows.
        oldest_pending_since: since when; None likewise.
        problem: why nothing is known of the queue (its node does not answer, a key has a wrong type); or
            empty. Of a queue with partitions, which of them are missing in its numbers, and why.
        parts: the partitions, if there are several; the numbers are then their sums, the latency is the longest, and
            the queue is paused if all of them are.
    """

    name: str
    pending: int = 0
    active: int = 0
    scheduled: int = 0
    retry: int = 0
    archived: int = 0
    completed: int = 0
    aggregating: int = 0
    groups: int = 0
    orphans: int = 0
    paused: bool = False
    processed: int = 0
    failed: int = 0
    processed_total: int = 0
    failed_total: int = 0
    latency: timedelta = timedelta()
    oldest_pending_since: datetime | None = None
    problem: str = ""
    parts: tuple[QueueInfo, ...] = ()

    @property
    def partitions(self) -> int:
        """Over how many partitions it is spread; 1: it has none."""
        return len(self.parts) or 1

    @property
    def is_partly_paused(self) -> bool:
        """Whether some of its partitions are paused and others are not."""
        return not self.paused and any(part.paused for part in self.parts)

    @property
    def is_unknown(self) -> bool:
        """Whether nothing could be read of it."""
        return all(part.problem for part in self.parts or (self,))

    @property
    def size(self) -> int:
        """Tasks in all states together."""
        return sum(self.count(state) for state in State)

    def count(self, state: State) -> int:
        """Tasks in one state."""
        number: int = getattr(self, state.value)
        return number


@dataclass(frozen=True, slots=True)
class DayCounts:
    """What a queue did on one day (UTC)."""

    day: date
    processed: int
    failed: int


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """An aggregation group and the number of tasks that wait in it."""

    name: str
    size: int


class Problem(StrEnum):
    """What is wrong with a stored task."""

    NONE = ""
    MISSING = "missing"
    """The id is listed, but there is no task."""
    UNREADABLE = "unreadable"
    """What is stored is not a message."""


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A task. Neither its arguments nor its result are in its `repr`.

    Args:
        id: its id; bytes that are no UTF-8 stand as surrogate escapes.
        queue: its queue.
        state: where it is; None when what is stored says nothing that is a state.
        problem: whether it can be read.
        message: what is stored; None unless `problem` is NONE.
        result: what it returned, as bytes; None when nothing is kept.
        next_process_at: when it runs next (scheduled, retry).
        pending_since: since when it has been pending.
        archived_at: when it was archived.
        expires_at: until when it is kept (completed, archived).
        lease_until: until when its worker may run it (active).
        start_until: until when it may start, by the option `expires`; None: whenever, or it has started.
        is_orphaned: whether it is active and its lease has ended: its worker is gone.
        group: the aggregation group that it came through.
        owner: the worker that runs it, if it is one of ours.
        error: why it was archived, where the message cannot say it.
        crashes: how many processes it has cost.
        recoveries: how many leases of it ended without a verdict.
        snoozes: how often it asked to be run again later.
        is_cancelled: somebody has cancelled it, and it has not ended yet.
        result_problem: why the result is not to be believed, by the keys of the app that the inspector was given.
        attempts: the attempts at it that failed, the oldest first: the last ten, but in a page or a search only the last one,
            without its traceback.
        said: what it has said of itself; None: that was not read, as in a page.
        failed_with: the type that the field `error` names, for tasks of earlier releases.
    """

    id: str
    queue: str
    state: State | None
    problem: Problem = Problem.NONE
    message: TaskMessage | None = field(default=None, repr=False)
    result: bytes | None = field(default=None, repr=False)
    next_process_at: datetime | None = None
    pending_since: datetime | None = None
    archived_at: datetime | None = None
    expires_at: datetime | None = None
    lease_until: datetime | None = None
    start_until: datetime | None = None
    is_orphaned: bool = False
    group: str = ""
    owner: str = ""
    error: str = ""
    crashes: int = 0
    recoveries: int = 0
    snoozes: int = 0
    is_cancelled: bool = False
    result_problem: str = ""
    attempts: tuple[FailedAttempt, ...] = ()
    said: Said | None = None
    failed_with: str = field(default="", repr=False)

    @property
    def error_type(self) -> str:
        """The name of the type that it last failed with; "" where that is not known, as of what failed in Go."""
        last = reason_of(self.attempts, self.message.last_failed_at if self.message else 0, self.last_error)
        if last is not None:
            return last.kind
        return self.failed_with if not self.attempts or self.error == self.last_error else ""

    @property
    def type(self) -> str:
        """The task's name; empty when it cannot be read."""
        return self.message.type if self.message else ""

    @property
    def last_failed_at(self) -> datetime | None:
        """When it last failed."""
        return moment(self.message.last_failed_at if self.message else 0)

    @property
    def completed_at(self) -> datetime | None:
        """When it succeeded, if it is kept."""
        return moment(self.message.completed_at if self.message else 0)

    @property
    def deadline(self) -> datetime | None:
        """By when it must have run."""
        return moment(self.message.deadline if self.message else 0)

    @property
    def last_error(self) -> str:
        """The text of its last failure."""
        return (self.message.error_msg if self.message else "") or self.error


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Some tasks of a state; `total` is how many the state holds."""

    total: int
    page: int
    size: int
    tasks: tuple[TaskInfo, ...]


@dataclass(frozen=True, slots=True)
class RunningTask:
    """A task that a worker runs, as the worker's record says."""

    id: str
    type: str
    queue: str
    started: datetime | None
    deadline: datetime | None


@dataclass(frozen=True, slots=True)
class ServerView:
    """A running worker, of ours or of Go's, as its record says. Asynq calls it a server.

    Args:
        id: its own, a random one.
        host: where it runs.
        pid: its process there.
        concurrency: how many tasks it runs at once.
        queues: its queues with their weights.
        strict: whether a weight is a rank.
        status: what it does, as "active".
        started: since when it runs.
        active: how many tasks it is running.
        running: these tasks.
        problem: why nothing but its place is known, and perhaps it has ended: the node with its record does not answer; or empty.
    """

    id: str
    host: str
    pid: int
    concurrency: int
    queues: Mapping[str, int]
    strict: bool
    status: str
    started: datetime | None
    active: int
    running: tuple[RunningTask, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the cluster. `failed` is what the other nodes say of it."""

    id: str
    host: str
    port: int
    role: Literal["master", "replica"]
    failed: bool


@dataclass(frozen=True, slots=True)
class ClusterQueue:
    """A queue, its key slot, and the nodes that hold the slot: the master first, what has failed last."""

    queue: str
    key_slot: int
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a server says of itself (`INFO`); `problem` says why it says nothing."""

    address: str
    version: str = ""
    uptime: timedelta = timedelta()
    connections: int = 0
    memory: int = 0
    peak_memory: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What a node says of the cluster (`CLUSTER INFO`)."""

    state: str
    known_nodes: int
    size: int
    slots_ok: int


@dataclass(frozen=True, slots=True)
class Stats:
    """Everything at a glance: the queues, the servers that hold them, and the cluster, if it is one."""

    measured_at: datetime
    queues: tuple[QueueInfo, ...]
    nodes: tuple[NodeFacts, ...]
    cluster: ClusterFacts | None

    def total(self, state: State) -> int:
        """Tasks of one state in all queues."""
        return sum(queue.count(state) for queue in self.queues)

"""The names of the keys (Asynq's, and ours beside them), and the cluster's key slot of a queue (pure).

Source: hibiken/asynq `internal/base/base.go`. All keys of a queue carry its name in braces, the cluster's
hash tag, so they live on one slot. Ours begin with `taskflow:` and carry the same tag.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from ..connection.topology import key_slot

ALL_QUEUES = "asynq:queues"
ALL_SERVERS = "asynq:servers"
ALL_WORKERS = "asynq:workers"
CANCEL_CHANNEL = "asynq:cancel"


LASTING = frozenset({"orphans", "outbox", "stored"})
"""Our keys that have no time to live, by the part of their names after `taskflow:{queue}:` and up to a colon. Each of them
belongs to the queue, and something keeps it small. Every other key of ours must end by itself: the doctor looks for those that do
not, and so does a check after each test.
"""


class QueueKeys:
    """The keys of one queue. Made once per queue: get it by `queue_keys(name)`.

    Example:
        >>> queue_keys("images").pending, queue_keys("images").slot
        ('asynq:{images}:pending', 9450)
    """

    __slots__ = (
        "active",
        "aggregation_sets",
        "archived",
        "cancels",
        "channel_prefix",
        "completed",
        "due",
        "failed",
        "group_prefix",
        "groups",
        "lease",
        "name",
        "never",
        "orphans",
        "outbox",
        "outbox_at",
        "own",
        "partitions",
        "paused",
        "pending",
        "prefix",
        "processed",
        "reports_prefix",
        "retry",
        "scheduled",
        "slot",
        "stored",
        "task_prefix",
        "unique_prefix",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.prefix = prefix = f"asynq:{{{name}}}:"
        self.own = f"taskflow:{{{name}}}:"
        self.task_prefix = prefix + "t:"
        self.unique_prefix = prefix + "unique:"
        self.group_prefix = prefix + "g:"
        self.channel_prefix = self.own + "verdict:"
        self.reports_prefix = self.own + "reports:"
        self.pending = prefix + "pending"
        self.active = prefix + "active"
        self.lease = prefix + "lease"
        self.scheduled = prefix + "scheduled"
        self.retry = prefix + "retry"
        self.archived = prefix + "archived"
        self.completed = prefix + "completed"
        self.groups = prefix + "groups"
        self.aggregation_sets = prefix + "aggregation_sets"
        self.paused = prefix + "paused"
        self.processed = prefix + "processed"
        self.failed = prefix + "failed"
        self.orphans = self.own + "orphans"
        self.outbox = self.own + "outbox"
        self.outbox_at = self.own + "outbox:at"
        self.stored = self.own + "stored"
        self.due = self.own + "due"
        self.cancels = self.own + "cancel"
        self.never = self.own + "never"
        self.partitions = self.own + "partitions"
        self.slot = key_slot(self.pending)

    def task(self, task_id: str) -> str:
        """The hash of a task."""
        return self.task_prefix + task_id

    def group(self, group: str) -> str:
        """The waiting tasks of an aggregation group."""
        return self.group_prefix + group

    def state(self, state: str) -> str:
        """The list or sorted set of a state other than `aggregating`."""
        return self.prefix + state

    def processed_on(self, day: str) -> str:
        """The day's count of processed tasks; `day` as `YYYY-MM-DD`, UTC."""
        return f"{self.processed}:{day}"

    def failed_on(self, day: str) -> str:
        """The day's count of failed tasks."""
        return f"{self.failed}:{day}"

    def lock_like(self, queue: str, lock: str) -> str:
        """The key in this queue of the unique lock whose key in another `queue` is `lock`."""
        return self.unique_prefix + lock.removeprefix(queue_keys(queue).unique_prefix)

    def taken_by(self, worker: str) -> str:
        """The record of what the worker's last dequeue took, by which a repetition of it gets the same tasks."""
        return f"{self.own}taken:{worker}"

    def once(self, task_id: str) -> str:
        """The marker of a follower: it was delivered, even if it is done and gone."""
        return f"{self.own}once:{task_id}"

    def answer(self, token: str) -> str:
        """What the order by hand `token` replied, so that a repetition of it replies the same."""
        return f"{self.own}answer:{token}"

    def guard(self, name: str) -> str:
        """Which worker does what only one of a queue's workers should do."""
        return f"{self.own}guard:{name}"

    def verdict_channel(self, task_id: str) -> str:
        """The sharded channel that tells waiters about the verdict on a task."""
        return self.channel_prefix + task_id

    def reports_channel(self, task_id: str) -> str:
        """The sharded channel that tells whoever watches a task that it has said something."""
        return self.reports_prefix + task_id


def is_lasting(suffix: str) -> bool:
    """Whether a key of ours may have no time to live; `suffix` is its name without the prefix `taskflow:{queue}:`."""
    return suffix.partition(":")[0] in LASTING


@lru_cache(maxsize=4096)
def queue_keys(name: str) -> QueueKeys:
    """The keys of a queue."""
    return QueueKeys(name)


class RecordKeys:
    """The keys of the record of a worker, which Asynq calls a server.

    Attributes:
        server: its record.
        workers: the hash with the tasks that it is running.
    """

    __slots__ = ("server", "slot", "workers")

    def __init__(self, host: str, pid: int, server_id: str) -> None:
        self.server = f"asynq:servers:{{{host}:{pid}:{server_id}}}"
        self.workers = f"asynq:workers:{{{host}:{pid}:{server_id}}}"
        self.slot = key_slot(self.server)


@lru_cache(maxsize=8)
def _day(days: int) -> str:
    return datetime.fromtimestamp(days * 86400, UTC).strftime("%Y-%m-%d")


def day_of(unix_seconds: float) -> str:
    """The UTC day of a moment, as the counters' keys name it."""
    return _day(int(unix_seconds) // 86400)

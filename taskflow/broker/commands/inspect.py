"""Inspect: count a queue's tasks, list them, read one. Nothing here writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...attempts import FailedAttempt, read_attempts
from ...connection.topology import key_slot
from ...states import State
from ..builder import builder
from ..command import Command, Plain, same
from ..keys import ALL_QUEUES, ALL_SERVERS, QueueKeys, queue_keys
from .read import error_text, error_type

PAGE = 200
"""Tasks of one script call at most, and groups of one."""

PAGE_BYTES = 4 * 1024 * 1024
"""A listing stops after so many bytes of messages and results, and is asked to go on."""

_build_counts = builder("queue_counts", "processed_day failed_day")
_build_groups = builder("list_groups", "cursor", limit=PAGE)
_build_list = builder("list_tasks", "source kind offset limit", bytes=PAGE_BYTES)
_build_row = builder("task_row", "task id")


def text(data: bytes) -> str:
    """Bytes as text. What is no UTF-8 becomes surrogates, so that encoding gives the same bytes again."""
    return data.decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """What a queue holds. `numbers` has the counts by name; a state's count stands under its value."""

    server_time: float
    numbers: dict[str, int]
    oldest_since: float | None
    """Unix seconds since when the oldest pending task has waited; None: unknown, or nothing waits."""

    @property
    def is_trace(self) -> bool:
        """Whether there is anything at all of such a queue."""
        return any(self.numbers.values())


@dataclass(frozen=True, slots=True)
class Row:
    """A task as it is stored, undecoded. `exists` is False for an id that is listed without a hash."""

    id: str
    score: float | None
    lease_until: float | None
    """Unix seconds, by the server's clock; None: it has none."""
    exists: bool
    message: bytes | None
    state: str
    pending_since: str
    group: str
    result: bytes | None
    error: str
    owner: str
    crashes: int
    recoveries: int
    unknown: int
    """How often it was put back because no worker knew its name."""
    error_type: str
    attempts: tuple[FailedAttempt, ...]
    """Those that failed: all that are kept, but in a listing only the last one, without its traceback."""
    snoozes: int = 0
    is_cancelled: bool = False
    """Somebody has cancelled it, and it has not ended yet."""
    start_until: float | None = None
    """Unix seconds until which it may start; None: whenever."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some tasks of a state, how many the state holds, and the server's time (whole Unix seconds)."""

    server_time: int
    total: int
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Groups:
    """Some aggregation groups with their sizes, and the cursor to go on with; "0" at the end."""

    cursor: str
    sizes: list[tuple[str, int]]


def queue_names() -> Plain[list[bytes]]:
    """The index of all queues, which clients write."""
    return Plain(("SMEMBERS", ALL_QUEUES), sorted, slot=key_slot(ALL_QUEUES))


def is_listed(queue: str) -> Plain[bool]:
    """Whether the index of all queues has the name."""
    return Plain(("SISMEMBER", ALL_QUEUES, queue), bool, slot=key_slot(ALL_QUEUES))


def server_time(queue: str | None = None) -> Plain[float]:
    """The clock of the server that holds the queue (or the index of all), in Unix seconds."""
    slot = queue_keys(queue).slot if queue is not None else key_slot(ALL_QUEUES)
    return Plain(("TIME",), lambda reply: int(reply[0]) + int(reply[1]) / 1e6, slot=slot)


def count_queue(queue: str, day: str) -> Command[QueueCounts]:
    """Count a queue's tasks, without its aggregation groups. `day` (UTC) names the counters of today."""
    keys = queue_keys(queue)
    return _build_counts(keys, _counts, processed_day=keys.processed_on(day), failed_day=keys.failed_on(day))


def list_groups(queue: str, cursor: str = "0") -> Command[Groups]:
    """Some of the aggregation groups of a queue; start with cursor "0"."""
    keys = queue_keys(queue)
    return _build_groups(keys, _groups, cursor=cursor)


def list_sets(queue: str) -> Plain[list[bytes]]:
    """The keys of the aggregation sets: tasks that were taken out of a group, for one aggregation."""
    keys = queue_keys(queue)
    return Plain(("ZRANGE", keys.aggregation_sets, 0, 99), same, keys.slot)


def count_set(queue: str, key: str) -> Plain[int]:
    """How many tasks wait in an aggregation group or set, by its key."""
    return Plain(("ZCARD", key), int, queue_keys(queue).slot)


def list_tasks(queue: str, state: State, offset: int, limit: int) -> Command[Page]:
    """Tasks of a state other than `aggregating`; perhaps fewer than `limit`: ask on from where it stopped."""
    keys = queue_keys(queue)
    kind = "list" if state in (State.PENDING, State.ACTIVE) else "zset"
    return _listing(keys, keys.state(state), kind, offset, limit)


def list_aggregating(queue: str, source: str, offset: int, limit: int) -> Command[Page]:
    """Tasks of an aggregation group or set, by its key."""
    return _listing(queue_keys(queue), source, "zset", offset, limit)


def read_row(queue: str, task_id: str) -> Command[Page]:
    """One task, as a page with one row; a task that does not exist has a row that says so."""
    keys = queue_keys(queue)
    return _build_row(keys, _single, task=keys.task(task_id), id=task_id)


def daily_counts(queue: str, days: Sequence[str]) -> Plain[list[tuple[int, int]]]:
    """Processed and failed tasks of each day."""
    keys = queue_keys(queue)
    names = [name for day in days for name in (keys.processed_on(day), keys.failed_on(day))]
    return Plain(("MGET", *names), _pairs, keys.slot)


def server_index() -> Plain[list[bytes]]:
    """The keys of the records of all servers, also of those that are gone."""
    return Plain(("ZRANGE", ALL_SERVERS, 0, -1), same, slot=key_slot(ALL_SERVERS))


def read_record(key: bytes) -> Plain[bytes | None]:
    """A server's record; None when it has expired."""
    return Plain(("GET", key), same, slot=key_slot(key))


def read_workers(key: bytes) -> Plain[list[bytes]]:
    """The records of the tasks that a server is running."""
    return Plain(("HVALS", key), same, slot=key_slot(key))


def _listing(keys: QueueKeys, source: str, kind: str, offset: int, limit: int) -> Command[Page]:
    return _build_list(keys, _page, source=source, kind=kind, offset=offset, limit=min(limit, PAGE))


def _counts(reply: list[Any]) -> QueueCounts:
    found = dict(zip((item.decode() for item in reply[::2]), reply[1::2], strict=True))
    time, since = found.pop("time"), found.pop("since")
    numbers = {name: _integer(value) for name, value in found.items()}
    return QueueCounts(float(time), numbers, float(since) / 1e9 if since.isdigit() else None)


def _groups(reply: list[Any]) -> Groups:
    return Groups(reply[0].decode(), list(zip(map(text, reply[1::2]), reply[2::2], strict=True)))


def _page(reply: list[Any]) -> Page:
    return Page(int(reply[0]), reply[1], [_row(row) for row in reply[2:]])


def _single(reply: list[Any]) -> Page:
    return Page(int(reply[0]), 1, [_row(reply[1])])


def _row(reply: list[Any]) -> Row:
    task_id, score, lease_until, exists, fields = reply
    fields = [*fields, *[None] * (14 - len(fields))]
    message, state, since, group, result, error, owner, crashes, recoveries, unknown, attempts = fields[:11]
    snoozes, mark, start_until = fields[11:]
    return Row(
        id=text(task_id),
        score=_number(score),
        lease_until=_number(lease_until),
        exists=bool(exists),
        message=message,
        state=text(state or b""),
        pending_since=text(since or b""),
        group=text(group or b""),
        result=result,
        error=error_text(error),
        owner=text(owner or b""),
        crashes=_integer(crashes),
        recoveries=_integer(recoveries),
        unknown=_integer(unknown),
        error_type=error_type(error),
        attempts=read_attempts(attempts),
        snoozes=_integer(snoozes),
        is_cancelled=mark is not None,
        # With the mark of a cancel it is in the past, so that nobody starts the task.
        start_until=_time(start_until) if mark is None else None,
    )


def _pairs(reply: list[Any]) -> list[tuple[int, int]]:
    return [(_integer(done), _integer(failed)) for done, failed in zip(reply[::2], reply[1::2], strict=True)]


def _integer(value: Any) -> int:
    """A number as it is stored; what is no number counts as 0, so that garbage breaks no listing."""
    try:
        return int(value or 0)
    except ValueError:
        return 0


def _time(value: Any) -> float | None:
    """A Unix time as it is stored in a field; what is none counts as none."""
    try:
        return float(value) if value else None
    except ValueError:
        return None


def _number(value: bytes) -> float | None:
    return float(value) if value else None

"""What workers and schedulers write about themselves, byte for byte as Asynq writes it (pure).

Go's tools list these records and show nothing else: every time must be present, "never" being Go's zero time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar, TypeVar

from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp as WireTimestamp

from taskflow.errors import DecodeError
from taskflow.message import taskflow_pb2

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Wire = TypeVar("_Wire", bound=Message)


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A moment to the nanosecond, as the wire has it. A datetime would lose the last three digits.

    Args:
        seconds: Unix seconds.
        nanos: nanoseconds after that, 0 to 999 999 999.

    Example:
        >>> Timestamp(1700000000, 5).to_datetime().isoformat()
        '2023-11-14T22:13:20+00:00'
    """

    seconds: int
    nanos: int = 0

    NEVER: ClassVar[Timestamp]
    """Go's zero time, which stands for "never" on the wire."""

    def to_datetime(self) -> datetime | None:
        """Give the moment to Python.

        Returns:
            A datetime in UTC, cut to microseconds. None when it is never, or out of a datetime's range.
        """
        if self == Timestamp.NEVER:
            return None
        try:
            return _EPOCH + timedelta(seconds=self.seconds, microseconds=self.nanos // 1000)
        except OverflowError:
            return None


Timestamp.NEVER = Timestamp(-62135596800)


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A running worker. With all its children it is one server to Go's tools.

    Args:
        host: the machine's name.
        pid: of the worker process.
        server_id: a UUID for this start of it.
        concurrency: tasks that it can run at once, in all children.
        queues: weights as given on the command line.
        strict_priority: whether the larger weight always goes first.
        status: "new", "active", "stopped" (it takes nothing more) or "closed" (it is ending).
        start_time: when it started.
        active_worker_count: tasks that it is running now.
    """

    host: str
    pid: int
    server_id: str
    concurrency: int
    queues: Mapping[str, int] = field(hash=False)
    strict_priority: bool = False
    status: str = "active"
    start_time: Timestamp = Timestamp.NEVER
    active_worker_count: int = 0

    def encode(self) -> bytes:
        """Write the record as Go does."""
        wire = taskflow_pb2.ServerInfo(
            host=self.host,
            pid=self.pid,
            server_id=self.server_id,
            concurrency=self.concurrency,
            queues=self.queues,
            strict_priority=self.strict_priority,
            status=self.status,
            start_time=_to_wire(self.start_time),
            active_worker_count=self.active_worker_count,
        )
        return wire.SerializeToString(deterministic=True)

    @classmethod
    def decode(cls, data: bytes) -> ServerInfo:
        """Read a record of Go's or ours.

        Raises:
            DecodeError: the bytes are no such record.
        """
        wire = _parse(taskflow_pb2.ServerInfo, data)
        return cls(
            wire.host,
            wire.pid,
            wire.server_id,
            wire.concurrency,
            dict(wire.queues),
            wire.strict_priority,
            wire.status,
            _from_wire(wire, "start_time"),
            wire.active_worker_count,
        )


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One task that a worker is running. (To Asynq, what runs one task is a worker.)

    Args:
        host: of the worker process.
        pid: of the worker process.
        server_id: as in its `ServerInfo`.
        task_id: the task's id.
        task_type: the task's name.
        task_payload: its encoded arguments, None when there are none.
        queue: the queue it came from.
        start_time: when this run started.
        deadline: when this run must end.
    """

    host: str
    pid: int
    server_id: str
    task_id: str
    task_type: str
    task_payload: bytes | None
    queue: str
    start_time: Timestamp = Timestamp.NEVER
    deadline: Timestamp = Timestamp.NEVER

    def encode(self) -> bytes:
        """Write the record as Go does."""
        wire = taskflow_pb2.WorkerInfo(
            host=self.host,
            pid=self.pid,
            server_id=self.server_id,
            task_id=self.task_id,
            task_type=self.task_type,
            task_payload=self.task_payload or b"",
            queue=self.queue,
            start_time=_to_wire(self.start_time),
            deadline=_to_wire(self.deadline),
        )
        return wire.SerializeToString(deterministic=True)

    @classmethod
    def decode(cls, data: bytes) -> WorkerInfo:
        """Read a record of Go's or ours.

        Raises:
            DecodeError: the bytes are no such record.
        """
        wire = _parse(taskflow_pb2.WorkerInfo, data)
        return cls(
            wire.host,
            wire.pid,
            wire.server_id,
            wire.task_id,
            wire.task_type,
            wire.task_payload or None,
            wire.queue,
            _from_wire(wire, "start_time"),
            _from_wire(wire, "deadline"),
        )


@dataclass(frozen=True, slots=True)
class SchedulerEntry:
    """One periodic entry of a running scheduler.

    Args:
        id: the entry's id.
        spec: its cron line, or `@every 1m`.
        task_type: the name of the task that it enqueues.
        task_payload: the encoded arguments, None when there are none.
        enqueue_options: as Go prints options, `Queue("x")`; one without a `(` makes Go's command line panic.
        next_enqueue_time: when it is due.
        prev_enqueue_time: when it was last enqueued.
    """

    id: str
    spec: str
    task_type: str
    task_payload: bytes | None = None
    enqueue_options: tuple[str, ...] = ()
    next_enqueue_time: Timestamp = Timestamp.NEVER
    prev_enqueue_time: Timestamp = Timestamp.NEVER

    def encode(self) -> bytes:
        """Write the record as Go does."""
        wire = taskflow_pb2.SchedulerEntry(
            id=self.id,
            spec=self.spec,
            task_type=self.task_type,
            task_payload=self.task_payload or b"",
            enqueue_options=self.enqueue_options,
            next_enqueue_time=_to_wire(self.next_enqueue_time),
            prev_enqueue_time=_to_wire(self.prev_enqueue_time),
        )
        return wire.SerializeToString(deterministic=True)

    @classmethod
    def decode(cls, data: bytes) -> SchedulerEntry:
        """Read a record of Go's or ours.

        Raises:
            DecodeError: the bytes are no such record.
        """
        wire = _parse(taskflow_pb2.SchedulerEntry, data)
        return cls(
            wire.id,
            wire.spec,
            wire.task_type,
            wire.task_payload or None,
            tuple(wire.enqueue_options),
            _from_wire(wire, "next_enqueue_time"),
            _from_wire(wire, "prev_enqueue_time"),
        )


@dataclass(frozen=True, slots=True)
class SchedulerEnqueueEvent:
    """One firing of a periodic entry.

    Args:
        task_id: the task that was enqueued.
        enqueue_time: when.
    """

    task_id: str
    enqueue_time: Timestamp

    def encode(self) -> bytes:
        """Write the record as Go does."""
        wire = taskflow_pb2.SchedulerEnqueueEvent(
            task_id=self.task_id, enqueue_time=_to_wire(self.enqueue_time)
        )
        return wire.SerializeToString(deterministic=True)

    @classmethod
    def decode(cls, data: bytes) -> SchedulerEnqueueEvent:
        """Read a record of Go's or ours.

        Raises:
            DecodeError: the bytes are no such record.
        """
        wire = _parse(taskflow_pb2.SchedulerEnqueueEvent, data)
        return cls(wire.task_id, _from_wire(wire, "enqueue_time"))


def _to_wire(moment: Timestamp) -> WireTimestamp:
    return WireTimestamp(seconds=moment.seconds, nanos=moment.nanos)


def _from_wire(record: Message, name: str) -> Timestamp:
    """Read a time; one that is absent is never, as newer Go has it."""
    if not record.HasField(name):
        return Timestamp.NEVER
    wire: WireTimestamp = getattr(record, name)
    return Timestamp(wire.seconds, wire.nanos)


def _parse(kind: type[_Wire], data: bytes) -> _Wire:
    try:
        return kind.FromString(data)
    except ProtobufDecodeError:
        raise DecodeError(f"{len(data):,} bytes are not a {kind.DESCRIPTOR.name} in Asynq's format") from None

"""The worker's record, for `taskflow server ls` and Go's tools, and the index of queues: every 5 s."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from ...broker.aio import AsyncBroker
from ...broker.commands.enqueue import publish_queues
from ...broker.commands.records import clear_server, write_server
from ...clock import ServerClock
from ...errors import BrokerError, DecodeError
from ...message.ids import printable
from ...message.records import ServerInfo, Timestamp, WorkerInfo
from ...message.task_message import TaskMessage
from ..config import Identity
from ..holding.held_tasks import Held
from ..service import Service

LAST_SECOND = 253_402_300_799
"""Protobuf's timestamps end with the year 9999; a deadline that Go stores may lie beyond."""

MOST_RUNNING = 1000
"""Tasks that one record lists: each heartbeat writes them all again."""


class Heartbeat(Service):
    """The loop that keeps the record fresh. All children together are one server, as Go's tools know it.

    Args:
        broker: where the record is.
        identity: whose it is.
        clock: the server's time.
        queues: what is served, with weights; whoever gives it may change it.
        published: the names of the queues and partitions that the app declares.
        status: as the record has it: "active", "stopped" or "closed".
        strict: whether the larger weight always goes first.
        concurrency: how many tasks it runs at once, as it is now.
        running: those that run, and for how many seconds they have.
    """

    name = "heartbeat"

    def __init__(
        self,
        broker: AsyncBroker,
        identity: Identity,
        clock: ServerClock,
        *,
        queues: Mapping[str, int],
        published: Callable[[], Sequence[str]],
        status: Callable[[], str],
        strict: bool,
        concurrency: Callable[[], int],
        running: Callable[[], list[tuple[Held, float]]],
    ) -> None:
        super().__init__()
        self._broker = broker
        self._identity = identity
        self._clock = clock
        self._queues = queues
        self._published = published
        self._status = status
        self._strict = strict
        self._concurrency = concurrency
        self._running = running
        self._started_at = clock.now()

    async def tick(self) -> float:
        """Write the record once."""
        period = self.timings.heartbeat
        running = self._running()
        identity = self._identity
        info = ServerInfo(
            host=identity.host,
            pid=identity.pid,
            server_id=identity.server_id,
            concurrency=self._concurrency(),
            queues=self._queues,
            strict_priority=self._strict,
            status=self._status(),
            start_time=_timestamp(self._started_at),
            active_worker_count=len(running),
        )
        entries = [entry for held, seconds in running[:MOST_RUNNING] if (entry := self._entry(held, seconds))]
        commands = write_server(
            identity.host,
            identity.pid,
            identity.server_id,
            info.encode(),
            entries,
            self._clock.now(),
            ttl=math.ceil(2 * period),
        )
        replies = await self._broker.run_many([*commands, publish_queues(self._published())], period)
        for reply in replies:
            if isinstance(reply, BrokerError):
                raise reply
        return period

    async def clear(self) -> None:
        """Remove the record at a clean stop; if the broker is away, it expires by itself."""
        identity = self._identity
        await self._broker.run_many(clear_server(identity.host, identity.pid, identity.server_id), 2.0)

    def _entry(self, held: Held, seconds: float) -> tuple[str, bytes] | None:
        try:
            message = TaskMessage.decode(held.taken.message)
        except DecodeError:
            return None
        started_at = self._clock.now() - seconds
        deadlines = [started_at + message.timeout] if message.timeout else []
        deadlines += [float(message.deadline)] if message.deadline else []
        identity = self._identity
        task_id = printable(held.id)  # the id under which it was taken, whatever its message says
        record = WorkerInfo(
            host=identity.host,
            pid=identity.pid,
            server_id=identity.server_id,
            task_id=task_id,
            task_type=message.type,
            task_payload=message.payload,
            queue=held.queue,
            start_time=_timestamp(started_at),
            deadline=_timestamp(min(deadlines)) if deadlines else Timestamp.NEVER,
        )
        return task_id, record.encode()


def _timestamp(unix_seconds: float) -> Timestamp:
    return Timestamp(min(int(unix_seconds), LAST_SECOND), int(unix_seconds % 1 * 1e9))

"""What a worker holds: the tasks it has taken and not yet written a verdict on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import msgspec

from ...broker.commands.dequeue import Taken
from ...errors import DecodeError
from ...message.ids import printable
from ...message.task_message import TaskMessage


class Held(msgspec.Struct, eq=False, gc=False):
    """A task in our hands, which no other equals.

    `ready_at` is from when on it could start: it was taken, and there was a process for it (monotonic seconds). `failure` is set
    when it was ended from outside, after it had run for `ran_seconds`, and waits for the judgement of a child. `lost` when the
    server says that somebody else has it now. `expires_at_ms`: if it has not started by then, it is not to be run (milliseconds
    on the monotonic clock; 0: no matter when). `cancelled`: somebody has asked for that; with `terminate_at` its process is
    killed then, unless it has ended (monotonic seconds; 0: it is not).
    """

    queue: str
    taken: Taken
    ready_at: float = msgspec.field(default_factory=time.monotonic)
    failure: str = ""
    lost: bool = False
    expires_at_ms: int = 0
    ran_seconds: float = 0.0
    cancelled: bool = False
    terminate_at: float = 0.0

    @property
    def id(self) -> str:
        """The task's id."""
        return self.taken.id

    def who(self) -> tuple[str, str, str, int]:
        """The task as events name it: its name ("" where its message cannot be read), id, queue, and how often it was retried."""
        task_id = printable(self.id)
        try:
            message = TaskMessage.decode(self.taken.message)
        except DecodeError:
            return "", task_id, self.queue, 0
        return message.type, task_id, self.queue, message.retried


class HeldTasks:
    """Everything held, by queue."""

    def __init__(self) -> None:
        self._queues: dict[str, set[Held]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Held]:
        for held in self._queues.values():
            yield from held

    def of(self, queue: str) -> Iterable[Held]:
        """What is held of a queue."""
        return self._queues.get(queue, ())

    def add(self, queue: str, items: Iterable[Held]) -> None:
        """They were taken, all from one queue."""
        held = self._queues.setdefault(queue, set())
        before = len(held)
        held.update(items)
        self._count += len(held) - before

    def remove(self, queue: str, items: Iterable[Held]) -> None:
        """Their verdicts are written, or somebody else has them."""
        held = self._queues[queue]
        before = len(held)
        held.difference_update(items)
        self._count += len(held) - before

    def takings(self, queue: str) -> set[tuple[str, str]]:
        """What is held of a queue: the id and the lease token of each task."""
        return {(held.taken.id, held.taken.lease_token) for held in self._queues.get(queue, ())}

    def by_queue(self) -> Iterator[tuple[str, list[Held]]]:
        """The tasks of each queue that holds any."""
        for queue, held in list(self._queues.items()):
            if held:
                yield queue, list(held)

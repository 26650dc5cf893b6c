"""Which of the tasks that a worker holds somebody has cancelled: it hears of that on a channel, or reads it with the leases."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ...broker.commands.dequeue import CANCELLED_AT, grace_of
from ...broker.words import Cancel
from ...message.outcome import Outcome
from ...telemetry.events import Cancelled, emit
from .held_tasks import Held, HeldTasks
from .verdicts import archived

EARLY_SECONDS = 30.0
"""So long an order is remembered for a task that is not here: what took it may be answered later than the order is heard."""

MOST_EARLY = 1000


class Cancels:
    """Passes orders to cancel on to whoever runs the task, each once.

    Args:
        held_tasks: what is held.
        deliver: tells the child that has a task.
    """

    def __init__(self, held_tasks: HeldTasks, deliver: Callable[[Held], None]) -> None:
        self._held_tasks = held_tasks
        self._deliver = deliver
        self.early: dict[tuple[str, str, str], tuple[float | None, float]] = {}
        """Orders for takings that are not here, by queue, lease token and id: the grace, and when that was heard."""

    def heard(self, queue: str, said: bytes) -> None:
        """What `cancel.lua` says on the channel of a queue. It names the taking: who has the id later is not meant."""
        words = said.decode("utf-8", "surrogateescape").split(" ", 2)
        if len(words) != 3:  # anybody may publish anything
            return
        token, mark, task_id = words
        for held in self._held_tasks.of(queue):
            if held.id == task_id and held.taken.lease_token == token:
                self.ask(held, grace_of(mark))
                return
        now = time.monotonic()
        if len(self.early) >= MOST_EARLY:
            self.early = {key: order for key, order in self.early.items() if now - order[1] < EARLY_SECONDS}
        if len(self.early) < MOST_EARLY:  # the others are found with the leases
            self.early[queue, token, task_id] = grace_of(mark), now

    def heard_of_go(self, said: bytes) -> None:
        """What a tool of Go's has said to all workers: an id, of whatever queue."""
        task_id = said.decode("utf-8", "surrogateescape")
        for held in [held for held in self._held_tasks if held.id == task_id]:
            self.ask(held, None)

    def arrived(self, items: Sequence[Held]) -> None:
        """These were taken, and given to children: whether there is an order already."""
        for held in items:
            order = self.early.pop((held.queue, held.taken.lease_token, held.id), None)
            if order is not None:
                self.ask(held, order[0])

    def ask(self, held: Held, grace: float | None) -> None:
        """Cancel a task. What was asked for before is not asked again, but its process may be killed sooner.

        Args:
            held: the task.
            grace: seconds until its process is killed; None: it is not.
        """
        if grace is not None:
            at = time.monotonic() + grace
            held.terminate_at = min(held.terminate_at or at, at)
        if not held.cancelled:
            held.cancelled = True
            self._deliver(held)


def is_marked(held: Held) -> bool:
    """Whether a task had been cancelled when it was taken: somebody that does not know the mark has put it back."""
    return held.taken.expires_at == CANCELLED_AT


def archive_cancelled(held: Held, now: float) -> Outcome:
    """The verdict on a cancelled task that the worker itself ends, or does not start; it is told, too."""
    if Cancelled.heard:
        emit(Cancelled(*held.who(), by_worker=True))
    return archived(held, Cancel.TEXT.value, "TaskCancelled", now)

"""Tasks that ask for another pool than the worker's own (`@app.task(pool="processes")` with `-P threads`): where they run.

They have children of their own, beside the others. Which task a message is a call of is its first field: it is looked at only
where some task asks for another pool.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from ...message.outcome import Outcome
from ...pipe.frames import Hello
from ...states import Verb
from ..config import DEFAULT_CONCURRENCY, Pool, WorkerConfig
from ..cores import usable_cores
from ..holding.held_tasks import Held

BACK_SECONDS = 1.0
"""A task for which there is no room beside goes back for so long, so that what is behind it in the queue is reached."""

_TYPE = 0x0A
"""The first byte of a message that begins with its type, as all do that Go and we write: field 1, bytes."""


class Beside:
    """What runs beside (no I/O).

    Args:
        tasks: the names of the tasks that do.
        queues: those whose tasks all do.
        give: sends tasks to the children beside.
        room: how many tasks they can take.
        on_outcomes: takes outcomes with the tasks they belong to.
    """

    def __init__(
        self,
        tasks: Collection[str],
        queues: Collection[str],
        give: Callable[[list[Held]], None],
        room: Callable[[], int],
        on_outcomes: Callable[[list[tuple[Held, Outcome]]], None],
    ) -> None:
        self.learn(tasks)
        self.queues = frozenset(queues)
        self._give = give
        self.room = room
        self._on_outcomes = on_outcomes

    def learn(self, tasks: Collection[str]) -> None:
        """Which tasks these are from now on: the code may be another."""
        self._names = frozenset(name.encode() for name in tasks)

    def take(self, items: list[Held]) -> list[Held]:
        """Give those of these tasks that run beside to the children there; the others."""
        names = self._names
        ours = [held for held in items if type_of(held.taken.message) in names]
        if not ours:
            return items
        # What crashed has processes of its own, and is no matter of room.
        room = max(self.room(), 0) + sum(bool(held.taken.crashes) for held in ours)
        if len(ours) > room:
            self._on_outcomes([(held, Outcome(0, Verb.SNOOZE, delay=BACK_SECONDS)) for held in ours[room:]])
        if room:
            self._give(ours[:room])
        chosen = set(ours)
        return [held for held in items if held not in chosen]


def type_of(message: bytes) -> bytes:
    """The type that a message begins with; empty where it begins with something else."""
    if len(message) < 2 or message[0] != _TYPE:
        return b""
    size, at = message[1], 2
    if size & 0x80:
        if len(message) < 3:
            return b""
        size, at = (size & 0x7F) | message[2] << 7, 3
    return message[at : at + size]


def wanted_beside(config: WorkerConfig, hello: Hello) -> tuple[WorkerConfig, list[str], list[str]] | None:
    """How the children beside are run, for which tasks, and the queues that all tasks of are such; None: there are none."""
    other: Pool = "threads" if config.pool == "processes" else "processes"
    tasks = [task for task in hello.tasks if task.pool == other]
    if config.pool == "solo" or config.embedded or not tasks:
        return None  # all of them run in the one pool that there is
    elsewhere = {task.queue for task in hello.tasks if task.pool != other}
    queues = {task.queue for task in tasks} - elsewhere
    count = config.beside or (DEFAULT_CONCURRENCY if other == "threads" else usable_cores())
    apart = replace(config, pool=other, concurrency=count, least_concurrency=None, processes=1, beside=None)
    return apart, [task.name for task in tasks], sorted(queues)

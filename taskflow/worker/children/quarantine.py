"""Where tasks run that were running when a process died: apart from the others, so that they can hurt only each other.

After one crash a few suspects share a process: when a group dies, the suspicion is on those few only. After two crashes each has
a process to itself, so that the third crash tells who it was. All start again at once, whatever their number: groups are few and
as wide as it takes, and their processes are started in the moment of the crash, not when the tasks have come back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from ...message.outcome import Outcome
from ...states import Verb
from ...telemetry.events import Quarantined, emit
from ..holding.held_tasks import Held
from .child import Child

FEW_GROUPS, MOST_GROUPS = 3, 8
"""Processes that suspects of one crash are spread over: few, unless a group would get more than `GROUP` tasks then."""

GROUP = 8

MOST_PROCESSES = 16
"""Processes for suspects, groups and those that run alone: each has the app in memory."""

IDLE_SECONDS = 5.0
"""So long a process waits for another suspect."""

PATIENCE_SECONDS = 10.0
"""Seconds that suspects wait for their process to start. After that they go back for other workers."""

BACK_SECONDS = 1.0
"""Seconds for which this worker does not take again what it could not start, so that other workers get it, if there are any."""

WRITE_SECONDS = 0.05
"""Seconds until suspects are in their queue again and can be taken: what is taken before that is something else."""

GATHER_SECONDS = 0.5
"""Suspects of one crash come back one by one, and from several queues: after so many seconds one line tells of all."""

EXPECT_SECONDS = 3.0
"""Seconds for which room is kept for suspects that were given back. After that, another worker has taken them."""


class QuarantineProcess:
    """One process for suspects, from the moment when it is started."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.child: Child | None = None
        self.waiting: list[Held] = []
        """Given to it while it starts."""
        self.idle_since = time.monotonic()

    def tasks(self) -> list[Held]:
        """What it runs or will run."""
        return [*self.waiting, *(self.child.jobs.values() if self.child is not None else ())]

    def room(self) -> int:
        """For how many that may share a process; none beside one that has to be alone."""
        if self.child is not None and (self.child.retiring or self.child.closed):
            return 0
        tasks = self.tasks()
        if any(must_be_alone(held.taken.crashes) for held in tasks):
            return 0
        return self.slots - len(tasks)

    def is_empty(self) -> bool:
        """Whether it can have one that must be alone."""
        return self.room() == self.slots

    def give(self, items: list[Held]) -> None:
        """Run these, at once or as soon as it has started."""
        if self.child is None:
            self.waiting += items
        else:
            self.child.send_jobs(items)

    def open(self, child: Child) -> None:
        """It has started."""
        self.child = child
        if self.waiting:
            items, self.waiting = self.waiting, []
            for held in items:
                held.ready_at = time.monotonic()  # it waited for its process: it would be taken back at once
            child.send_jobs(items)
            for held in items:
                if held.cancelled:
                    child.cancel(held)


class Quarantine:
    """The processes for suspects.

    Args:
        widest: tasks that one process may run at once: 1 where each has to have a process to itself (`-P processes`).
        start: starts a child with so many slots that takes no other work; None: it could not.
        return_items: takes outcomes with the tasks they belong to.
        on_room: called when there is room for suspects that are on their way.
        background: runs a coroutine until the worker ends.
    """

    def __init__(
        self,
        widest: int,
        start: Callable[[int], Awaitable[Child | None]],
        return_items: Callable[[list[tuple[Held, Outcome]]], None],
        on_room: Callable[[], None],
        background: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._widest = widest
        self._start = start
        self._return = return_items
        self._on_room = on_room
        self._background = background
        self._expected = 0
        self._expected_until = 0.0
        self._processes: list[QuarantineProcess] = []
        self._fresh: list[Held] = []
        """Suspects that nobody was told of yet."""

    def room(self) -> int:
        """For how many suspects that are on their way back."""
        return self._expected if time.monotonic() < self._expected_until else 0

    def arrived(self, count: int) -> None:
        """So many tasks were taken, suspects or not: room for so many need not be kept any more."""
        self._expected = max(self._expected - count, 0)

    def expect(self, crashes: Sequence[int]) -> None:
        """Suspects are going back to their queues, with so many crashes each: get ready for them."""
        lonely = sum(must_be_alone(count) for count in crashes)
        self._open_groups(len(crashes) - lonely - self._room())
        for _ in range(min(lonely - sum(process.is_empty() for process in self._processes), self._left())):
            self._open(1)
        asyncio.get_running_loop().call_later(WRITE_SECONDS, self._keep_room, len(crashes))

    def give(self, suspects: list[Held]) -> None:
        """Run these; what cannot be started at once goes back for other workers, and no crash is counted."""
        if not self._fresh:
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self._tell)
        self._fresh += suspects
        back = [
            held for held in suspects if must_be_alone(held.taken.crashes) and not self._place_alone(held)
        ]
        back += self._place_in_groups([held for held in suspects if not must_be_alone(held.taken.crashes)])
        self._give_back(back)

    def drain(self) -> list[Held]:
        """Start nothing more: what has not been sent to a process."""
        waiting = [held for process in self._processes for held in process.waiting]
        self._processes.clear()
        return waiting

    # --------------------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        fresh, self._fresh = self._fresh, []
        emit(Quarantined(tuple((held.id, held.queue, held.taken.crashes) for held in fresh)))

    def _place_alone(self, held: Held) -> bool:
        empty = [process for process in self._processes if process.is_empty()]
        process = min(empty, key=lambda process: process.slots, default=None) or (
            self._open(1) if self._left() else None
        )
        if process is None:
            return False
        process.give([held])
        return True

    def _place_in_groups(self, items: list[Held]) -> list[Held]:
        """The suspects that there is no room for."""
        self._open_groups(len(items) - self._room())
        for process in sorted(self._processes, key=QuarantineProcess.room, reverse=True):
            room = max(process.room(), 0)
            if items and room:
                process.give(items[:room])
                items = items[room:]
        return items

    def _room(self) -> int:
        """For how many that may share a process."""
        return sum(max(process.room(), 0) for process in self._processes)

    def _open_groups(self, count: int) -> None:
        if count <= 0:
            return
        groups = min(max(groups_for(count), -(-count // self._widest)), self._left())
        for number in range(groups):
            # 20 over 3: 6, 7, 7.
            self._open(min((count + number) // groups, self._widest))

    def _open(self, slots: int) -> QuarantineProcess:
        process = QuarantineProcess(slots)
        self._processes.append(process)
        self._background(self._run(process))
        return process

    def _left(self) -> int:
        return MOST_PROCESSES - len(self._processes)

    def _keep_room(self, count: int) -> None:
        self._expected = self.room() + count
        self._expected_until = time.monotonic() + EXPECT_SECONDS
        self._on_room()

    def _give_back(self, items: list[Held]) -> None:
        if items:
            self._return([(held, Outcome(0, Verb.SNOOZE, delay=BACK_SECONDS)) for held in items])

    async def _run(self, process: QuarantineProcess) -> None:
        timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._lose_patience, process)
        try:
            child = await self._start(process.slots)
            if child is None or process not in self._processes:
                self._lose_patience(process)
                if child is not None:
                    child.close()
                return
            process.open(child)
            process.idle_since = time.monotonic()
            while not child.closed:
                await asyncio.sleep(0.5)
                if process.tasks():
                    process.idle_since = time.monotonic()
                elif time.monotonic() - process.idle_since > IDLE_SECONDS:
                    child.retiring = True
                    child.close()
        finally:
            timer.cancel()
            if process in self._processes:
                self._processes.remove(process)

    def _lose_patience(self, process: QuarantineProcess) -> None:
        if process.child is None:
            waiting, process.waiting = process.waiting, []
            self._give_back(waiting)


def must_be_alone(crashes: int) -> bool:
    """Whether a task that has cost so many processes may share one with others."""
    return crashes > 1


def groups_for(suspects: int) -> int:
    """Over how many processes suspects of one crash are spread.

    Each process costs time and memory; each task of a group that dies then gets a process to itself.
    """
    return min(suspects, max(FEW_GROUPS, -(-suspects // GROUP)), MOST_GROUPS)

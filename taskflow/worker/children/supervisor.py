"""All children of a worker: those of its own pool, and beside them those of the tasks that ask for another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from ...message.outcome import Outcome
from ...message.report import Report
from ...pipe import frames
from ...telemetry.counts import Totals
from ..config import WorkerConfig
from ..holding.held_tasks import Held
from ..launch import Launched
from .beside import Beside, wanted_beside
from .group import Group
from .starter import Start

logger = logging.getLogger("taskflow.worker")


async def _nothing_waits() -> bool:
    return False


class Supervisor:
    """Has one group of children, or two: who asks it need not know of the second.

    Args:
        config: how the worker runs.
        on_outcomes: takes outcomes with the tasks they belong to.
        on_room: called whenever a child may have room again.
        start_process: how a child is started, if not as a process.
        launched: children that were started already.
        backlog: whether any task waits in the queues; see `watch.Watch`.
        on_hello: told what the app is whenever a child has been started later.
        on_reports: takes what running tasks say of themselves.
        on_done: takes the tasks that are simply done.
    """

    def __init__(
        self,
        config: WorkerConfig,
        on_outcomes: Callable[[list[tuple[Held, Outcome]]], None],
        on_room: Callable[[], None],
        start_process: Start | None = None,
        launched: Sequence[Launched] = (),
        *,
        backlog: Callable[[], Awaitable[bool]] = _nothing_waits,
        on_hello: Callable[[frames.Hello], None] = lambda hello: None,
        on_reports: Callable[[list[tuple[Held, Report]]], None] = lambda items: None,
        on_done: Callable[[list[Held]], None] = lambda done: None,
    ) -> None:
        self._config = config
        self._on_outcomes = on_outcomes
        self._on_hello = on_hello
        self.counts = Totals()
        """What the children have said of the tasks that they ran."""
        self._group = partial(
            Group,
            backlog=backlog,
            counts=self.counts,
            on_outcomes=on_outcomes,
            on_room=on_room,
            on_reports=on_reports,
            on_done=on_done,
        )
        self._own = own = self._group(config, start_process, launched, on_hello=self._learn)
        self._other: Group | None = None
        """Of the tasks that ask for the other pool."""
        self.beside: Beside | None = None
        """Which these are."""
        self.children = own.children
        """Those of the worker's own pool."""
        self.builds = own.builds
        """Asks them for messages that take the app's keys."""
        self._give = own.give
        self.room: Callable[[], int] = own.room
        """How many more jobs the children can take."""

    async def start(self) -> frames.Hello:
        """Start all children; what the first says about the app.

        Raises:
            AppNotFound: the app could not be imported.
        """
        hello = await self._own.start()
        wanted = wanted_beside(self._config, hello)
        if wanted is not None:
            config, tasks, queues = wanted
            self._other = other = self._group(config, on_hello=lambda hello: None)
            try:
                await other.start()
            except BaseException:
                await self.drain(lambda: 0.0)
                raise
            self.beside = Beside(tasks, queues, other.give, other.room, self._on_outcomes)
            self.room = lambda: self._own.room() + other.room()
        return hello

    def give(self, items: list[Held]) -> None:
        """Send tasks to the children."""
        if self.beside is not None:
            items = self.beside.take(items)
        self._give(items)

    def watch_limits(self) -> None:
        """One look at the children: jobs that did not start in time, jobs over their hard limit, children that do not get on."""
        for group in self._groups():
            group.look()

    @property
    def wanted(self) -> int:
        """How many children of the worker's own pool there should be."""
        return self._own.wanted

    @property
    def concurrency(self) -> int:
        """How many tasks run at once, as it is now."""
        return sum(group.concurrency for group in self._groups())

    def running(self) -> list[tuple[Held, float]]:
        """What runs now, and for how many seconds."""
        return [run for group in self._groups() for run in group.running()]

    def complaints(self) -> list[str]:
        """What is wrong with the children, a sentence each; empty when all is well. Red for health and `--check`.

        It says when fewer children run than should, and which of them does not get on although work waits for it. May be asked
        from any thread. At a stop nothing is wrong: that children end is meant.
        """
        return [why for group in self._groups() for why in group.complaints()]

    def cancel(self, held: Held) -> None:
        """Cancel a task in the child that has it. Where none has it yet, it is cancelled when it comes to one."""
        for group in self._groups():
            group.cancel(held)

    async def ask_for_stacks(self) -> None:
        """Let every child say where its threads and coroutines stand."""
        for group in self._groups():
            await group.ask_for_stacks()

    async def restart(self) -> None:
        """Replace every child by a new one; the old ones finish what they run.

        As many are started as there should be, however many there are. What was being started before, or waited for its turn
        after children had died, is given up: it may have the code of before.
        """
        if self._other is not None:
            self._own.background(self._other.restart())
        await self._own.restart()

    async def roll(self) -> None:
        """Replace every child, the next when the one before has ended; a restart meanwhile replaces the rest at once."""
        for group in self._groups():
            await group.roll()

    async def drain(self, grace: Callable[[], float]) -> None:
        """Stop: hand back what has not started, wait for the rest until `grace()` seconds are over, hand that
        back too.
        """
        await asyncio.gather(*(group.drain(grace) for group in self._groups()))

    def _groups(self) -> tuple[Group, ...]:
        return (self._own,) if self._other is None else (self._own, self._other)

    def _learn(self, hello: frames.Hello) -> None:
        """A new child may have other code."""
        wanted = wanted_beside(self._config, hello)
        if self.beside is not None:
            self.beside.learn(wanted[1] if wanted is not None else [])
        elif wanted is not None:
            logger.warning(
                "Task %s asks for pool=%r, for which this worker has no children yet: start it again",
                wanted[1][0],
                wanted[0].pool,
            )
        self._on_hello(hello)

"""Children of one pool: started, watched, replaced one for one, and ended at a stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from ...message.outcome import Outcome
from ...message.report import Report
from ...pipe import frames
from ...telemetry.counts import Totals
from ...telemetry.events import ChildRecycled, ChildStarted, emit
from ..config import WorkerConfig
from ..holding.held_tasks import Held
from ..launch import Launched
from .builds import Builds
from .child import Child
from .dispatcher import Dispatcher
from .framed_process import END_SECONDS
from .hearing import Hearing
from .leftovers import Leftovers
from .quarantine import Quarantine
from .recycling import Recycling, Started
from .renewal import Renewal
from .retiring import Retiring
from .scaling import Scaling
from .stacks import StackQuestions
from .starter import Start, Starter
from .watch import Watch

KILL_SECONDS = 2.0
"""What a process may take to end after it was killed."""


class Group:
    """Keeps `config.children` children running, or as many as are needed where that changes.

    Args:
        config: how they run.
        start_process: how a child is started, if not as a process.
        launched: children that were started already.
        backlog: whether any task waits in the queues; see `watch.Watch`.
        counts: what children say of the tasks that they ran.
        on_outcomes: takes outcomes with the tasks they belong to.
        on_room: called whenever a child may have room again.
        on_hello: told what the app is whenever a child has been started later.
        on_reports: takes what running tasks say of themselves.
        on_done: takes the tasks that are simply done.
    """

    def __init__(
        self,
        config: WorkerConfig,
        start_process: Start | None = None,
        launched: Sequence[Launched] = (),
        *,
        backlog: Callable[[], Awaitable[bool]],
        counts: Totals,
        on_outcomes: Callable[[list[tuple[Held, Outcome]]], None],
        on_room: Callable[[], None],
        on_hello: Callable[[frames.Hello], None],
        on_reports: Callable[[list[tuple[Held, Report]]], None],
        on_done: Callable[[list[Held]], None],
    ) -> None:
        self._config = config
        self._on_room = on_room
        self._on_hello = on_hello
        self.children: list[Child] = []
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._starter = Starter(config, start_process, launched)
        self._renewal = Renewal(self._starter, lambda: self.wanted, lambda: self._stopping, self._adopt_new)
        self._recycling: Recycling | None = None
        if config.recycles:
            start, background = self._renewal.start, self.background
            self._recycling = Recycling(config, self.children, start, self._succeed, background)
        self._scaling: Scaling | None = None
        if config.least < config.concurrency:
            self._scaling = Scaling(config, self.children, backlog, self._resize)
        self._quarantine = Quarantine(
            config.slots, self._start_quarantined, on_outcomes, on_room, self.background
        )
        self._leftovers = Leftovers(self.children, self._quarantine, on_outcomes)
        self._retiring = Retiring(
            self.children,
            self._leftovers,
            self._renewal,
            wanted=lambda: self.wanted,
            background=self.background,
            grace=config.grace,
        )
        self._watch = Watch(self._retiring, backlog, config.timings)
        self._stacks = StackQuestions(config.timings.answer)
        self.builds = Builds(self.children, config.timings)
        """Asks them for messages that take the app's keys."""
        dispatcher = Dispatcher(
            self.children,
            self._quarantine,
            on_outcomes,
            self._leftovers.hand_back,
            most=config.max_message,
            isolates=start_process is None,
        )
        self.give = dispatcher.give
        """Sends tasks to the children."""
        self._hearing = Hearing(
            self.builds,
            counts,
            self._stacks,
            on_outcomes=on_outcomes,
            on_done=on_done,
            on_reports=on_reports,
            on_room=on_room,
            hand_back=self._leftovers.hand_back,
            ended=None if self._recycling is None else self._recycling.ended,
        )

    async def start(self) -> frames.Hello:
        """Start all children; what the first says about the app.

        Raises:
            AppNotFound: the app could not be imported.
        """
        children, hello = await self._starter.first(self._config.children)
        for child in children:
            self._adopt(child)
        return hello

    def room(self) -> int:
        """How many more jobs the children can take."""
        return sum(child.room() for child in self.children) + self._quarantine.room()

    def look(self) -> None:
        """One look at the children: their limits, their wear, and how many there are."""
        self._watch.look()
        if self._recycling is not None:
            self._recycling.look()
        if self._scaling is not None and not self._stopping:
            self._scaling.look()

    @property
    def wanted(self) -> int:
        """How many children there should be."""
        return self._config.children if self._scaling is None else self._scaling.children

    @property
    def concurrency(self) -> int:
        """How many tasks run at once, as it is now."""
        return self._config.total if self._scaling is None else self._scaling.total

    def running(self) -> list[tuple[Held, float]]:
        """What runs now, and for how many seconds."""
        return [run for child in self.children for run in child.running()]

    def complaints(self) -> list[str]:
        """What is wrong with the children, a sentence each. May be asked from any thread."""
        if self._stopping:
            return []
        running = sum(child.takes_work for child in list(self.children))
        wanted = self._config.children if self._scaling is None else self._scaling.fewest
        found = self._watch.complaints()
        if running < wanted:
            count = f"only {running} of {wanted} child processes run" if running else "no child process runs"
            found.append(f"{count} ({self._starter.failure or 'a new one is being started'})")
        return found

    def cancel(self, held: Held) -> None:
        """Cancel a task in the child that has it. Where none has it yet, it is cancelled when it comes to one."""
        for child in self.children:
            child.cancel(held)

    async def ask_for_stacks(self) -> None:
        """Let every child say where its threads and coroutines stand."""
        await self._stacks.ask(list(self.children))

    async def restart(self) -> None:
        """Replace every child by a new one; the old ones finish what they run."""
        if self._recycling is not None:
            self._recycling.forget()
        await self._renewal.restart()
        self._on_room()

    async def roll(self) -> None:
        """Replace every child, the next when the one before has ended."""
        await self._renewal.roll(self.children)

    async def drain(self, grace: Callable[[], float]) -> None:
        """Stop: hand back what has not started, wait for the rest until `grace()` seconds are over, hand that
        back too.
        """
        self._stopping = True
        self.builds.stop()
        self._starter.close()
        began = time.monotonic()
        self._leftovers.hand_back(self._quarantine.drain())
        self._leftovers.drain()
        if self._recycling is not None:
            self._recycling.forget()
        for child in self.children:
            child.retiring = True
            self._leftovers.hand_back(child.recall())
        while any(child.jobs for child in self.children) and time.monotonic() - began < grace():
            await asyncio.sleep(0.02)
        for child in self.children:
            # What it still runs goes back only when it has ended: otherwise another worker would run it at the same time.
            child.close()
        # What still starts a child has no need to.
        for task in self._tasks - {child.life for child in self.children}:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=END_SECONDS + KILL_SECONDS)

    # --- starting -------------------------------------------------------------------------------------------

    def _adopt(self, child: Child, worn: Child | None = None) -> None:
        self.children.append(child)
        emit(ChildStarted(child.process.pid))
        child.life = self.background(self._live(child))
        if self._recycling is not None:
            self._recycling.begin(child)
        if child.wear is not None and worn is not None:
            # Before it is offered anything: the slots are its predecessor's yet.
            child.wear.before = worn.wear
        # The oldest go: those that a restart replaces, or one whose place was taken twice.
        for old in [one for one in self.children if one.takes_work][: -self.wanted]:
            self._retiring.retire(old)
        if self._scaling is not None and not child.quarantined:
            child.width = self._scaling.width(child.slots)
        if child.takes_work:
            self._leftovers.offer(child)
            self._on_room()

    def _adopt_new(self, started: Started, deaths: int) -> None:
        child, hello = started
        child.deaths = deaths
        self._adopt(child)
        self._on_hello(hello)

    def _succeed(self, started: Started, worn: Child) -> None:
        """A child has its place taken by its successor; what it has, it runs to its end."""
        child, hello = started
        if not worn.retiring:
            worn.retiring = True
            if ChildRecycled.heard and worn.wear is not None:
                emit(ChildRecycled(worn.process.pid, worn.wear.why))
        self._adopt(child, worn)
        if not worn.jobs:
            worn.close()
        self._on_hello(hello)

    def _resize(self) -> None:
        """There are to be more children, or fewer; or they may use more of their slots, or fewer."""
        assert self._scaling is not None, "it has asked for this"
        ours = [child for child in self.children if child.takes_work]
        for child in ours:
            child.width = self._scaling.width(child.slots)
        for _ in range(self.wanted - len(ours)):
            self.background(self._renewal.start_one())
        for child in sorted(ours, key=lambda child: len(child.jobs))[: max(len(ours) - self.wanted, 0)]:
            self._retiring.retire(child)
        self._on_room()

    async def _start_quarantined(self, slots: int) -> Child | None:
        started = await self._starter.try_one(slots)
        if started is None or self._stopping:
            if started is not None:
                started[0].discard()
            return None
        child, _ = started
        child.quarantined = True
        self._adopt(child)
        return child

    # --- watching -------------------------------------------------------------------------------------------

    async def _live(self, child: Child) -> None:
        """Until a child has ended; then what it held goes back, and another takes its place."""
        code = await child.live(self._hearing.hear)
        self.children.remove(child)
        self.builds.lost(child)
        self._leftovers.bury(child, code, stopping=self._stopping)
        child.marks.close()
        if not (self._stopping or child.retiring or child.quarantined):
            await self._replace(child)

    async def _replace(self, child: Child) -> None:
        """One has died before its time."""
        heir = self._recycling.heir(child) if self._recycling is not None else None
        if heir is not None:
            self._succeed(heir, child)
            return
        if sum(one.takes_work for one in self.children) < self.wanted:
            short = time.monotonic() - child.born < self._config.timings.short_life
            await self._renewal.start_one(child.deaths + 1 if short else 0)

    def background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something until the worker ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

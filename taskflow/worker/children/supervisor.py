"""Keeps children running: starts them, hears what they say, replaces them, and ends them at a stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from ...errors import AppNotFound
from ...message.outcome import Outcome
from ...pipe import frames
from ...telemetry.counts import Totals
from ...telemetry.events import ChildReplaced, ChildStarted, TimedOut, emit
from ..config import WorkerConfig
from ..holding.held_tasks import Held
from ..launch import Launched
from .builds import Builds
from .child import Child
from .dispatcher import Dispatcher
from .framed_process import END_SECONDS
from .leftovers import Leftovers
from .quarantine import Quarantine
from .stacks import StackQuestions
from .starter import Start, Starter
from .watch import Watch

KILL_SECONDS = 2.0
"""What a process may take to end after it was killed."""

EXTRA_OLD = 2
"""How many children that were replaced may still run their tasks beside the new ones: each has the app in memory."""


async def _nothing_waits() -> bool:
    return False


class Supervisor:
    """Keeps `config.children` children running.

    Args:
        config: how the worker runs.
        on_outcomes: takes outcomes with the tasks they belong to.
        on_room: called whenever a child may have room again.
        start_process: how a child is started, if not as a process.
        launched: children that were started already.
        backlog: whether any task waits in the queues; see `watch.Watch`.
        on_hello: told what the app is whenever a child has been started later.
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
    ) -> None:
        self._config = config
        self._on_outcomes = on_outcomes
        self._on_room = on_room
        self._on_hello = on_hello
        self.children: list[Child] = []
        self._starter = Starter(config, start_process, launched)
        self._watch = Watch(self, backlog, config.timings)
        self._quarantine = Quarantine(
            config.slots, self._start_quarantined, on_outcomes, on_room, self._background
        )
        self._leftovers = Leftovers(self.children, self._quarantine, on_outcomes)
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._stacks = StackQuestions(config.timings.answer)
        self._restarting = asyncio.Lock()
        self._restarts = 0
        self._dispatcher = Dispatcher(
            self.children,
            self._quarantine,
            on_outcomes,
            self._leftovers.hand_back,
            most=config.max_message,
            isolates=start_process is None,
        )
        self.builds = Builds(self.children, config.timings)
        """Asks them for messages that take the app's keys."""
        self.counts = Totals()
        """What they have said of the tasks that they ran."""

    async def start(self) -> frames.Hello:
        """Start all children; what the first says about the app.

        Raises:
            AppNotFound: the app could not be imported.
        """
        children = [await self._starter.launch() for _ in range(self._config.children)]
        hellos = await asyncio.gather(*(child.open() for child in children), return_exceptions=True)
        for hello in hellos:
            if isinstance(hello, frames.Hello):
                continue
            for child in children:
                child.discard()
            if isinstance(hello, frames.ImportFailed):
                raise AppNotFound(hello.error, details=hello.traceback)
            raise AppNotFound(f"the child process ended while it imported the app {self._config.app!r}")
        for child in children:
            self._adopt(child)
        assert isinstance(hellos[0], frames.Hello)
        return hellos[0]

    def room(self) -> int:
        """How many more jobs the children can take."""
        return sum(child.room() for child in self.children) + self._quarantine.room()

    def give(self, items: list[Held]) -> None:
        """Send tasks to the children."""
        self._dispatcher.give(items)

    def watch_limits(self) -> None:
        """One look at the children: jobs that did not start in time, jobs over their hard limit, children that do not get on."""
        self._watch.look()

    def running(self) -> list[tuple[Held, float]]:
        """What runs now, and for how many seconds."""
        return [run for child in self.children for run in child.running()]

    def complaints(self) -> list[str]:
        """What is wrong with the children, a sentence each; empty when all is well. Red for health and `--check`.

        It says when fewer children run than should, and which of them does not get on although work waits for it. May be asked
        from any thread. At a stop nothing is wrong: that children end is meant.
        """
        if self._stopping:
            return []
        running, wanted = sum(child.takes_work for child in list(self.children)), self._config.children
        found = self._watch.complaints()
        if running < wanted:
            count = f"only {running} of {wanted} child processes run" if running else "no child process runs"
            found.append(f"{count} ({self._starter.failure or 'a new one is being started'})")
        return found

    def broadcast(self, value: object) -> None:
        """Send a frame to every child."""
        for child in self.children:
            child.send(value)

    async def ask_for_stacks(self) -> None:
        """Let every child say where its threads and coroutines stand."""
        await self._stacks.ask(list(self.children))

    async def restart(self) -> None:
        """Replace every child by a new one; the old ones finish what they run.

        As many are started as there should be, however many there are. What was being started before, or waited for its turn
        after children had died, is given up: it may have the code of before.
        """
        self._restarts += 1
        mine = self._restarts
        self._starter.hurry()
        async with self._restarting:
            for _ in range(self._config.children):
                if mine == self._restarts:
                    await self._start_one()
        self._on_room()

    async def drain(self, grace: Callable[[], float]) -> None:
        """Stop: hand back what has not started, wait for the rest until `grace()` seconds are over, hand that
        back too.
        """
        self._stopping = True
        self.builds.stop()
        began = time.monotonic()
        self.hand_back(self._quarantine.drain())
        self._leftovers.drain()
        for child in self.children:
            child.retiring = True
            self.hand_back(child.recall())
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

    def _adopt(self, child: Child) -> None:
        self.children.append(child)
        emit(ChildStarted(child.process.pid))
        child.life = self._background(self._live(child))
        # The oldest go: those that a restart replaces, or one whose place was taken twice.
        for old in [one for one in self.children if one.takes_work][: -self._config.children]:
            self._retire(old)
        if child.takes_work:
            self._leftovers.offer(child)
            self._on_room()

    async def _start_one(self, deaths: int = 0) -> None:
        before = self._restarts

        def is_wanted() -> bool:
            return not self._stopping and before == self._restarts

        started = await self._starter.start(is_wanted, deaths)
        if started is None:
            return
        child, hello = started
        if not is_wanted():
            child.discard()
            return
        child.deaths = deaths
        self._adopt(child)
        self._on_hello(hello)

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
        code = await child.live(self._on_frame)
        self.children.remove(child)
        self.builds.lost(child)
        self._leftovers.bury(child, code, stopping=self._stopping)
        child.marks.close()
        if not (self._stopping or child.retiring or child.quarantined):
            short = time.monotonic() - child.born < self._config.timings.short_life
            await self._start_one(child.deaths + 1 if short else 0)

    def _on_frame(self, child: Child, value: frames.FromChild) -> None:
        child.stalled = False
        match value:
            case frames.Outcomes(items):
                child.measure(items)
                child.liveness.got_on()
                known = [(child.jobs.pop(item.number, None), item) for item in items]
                self._on_outcomes([(held, item) for held, item in known if held is not None])
            case frames.Events(counts):
                self.counts.add(counts)
                return  # it says nothing about jobs, and comes right before what does
            case frames.Built():
                self.builds.answered(child, value)
            case frames.Stacks(text):
                self._stacks.answered(child, text)
            case frames.Returned(numbers):
                self.hand_back(
                    [held for number in numbers if (held := child.jobs.pop(number, None)) is not None]
                )
        if child.retiring and not child.jobs:
            child.close()
        self._on_room()

    def expire(self, child: Child, over: list[Held]) -> None:
        """Jobs are over their hard limit: no more work for this child, its replacement starts, others get
        their grace.
        """
        for held in over:
            if not held.failure:
                held.failure = "hard time limit exceeded; its process was killed"
                if TimedOut.heard:
                    emit(TimedOut(*held.who(), hard=True, killed=True))
        if child.retiring:
            return
        self._retire(child)
        asyncio.get_running_loop().call_later(self._config.grace, child.kill)
        if not child.quarantined:
            self._background(self._start_one())

    def replace_stuck(self, child: Child, why: str) -> None:
        """It does not get on: it takes nothing more, another takes its place, and its tasks keep their limits."""
        old = sum(other.retiring for other in self.children)
        if old >= self._config.children + EXTRA_OLD:
            return  # `complaints` goes on saying what is wrong
        emit(ChildReplaced(child.process.pid, why))
        self._retire(child)
        if not child.quarantined:
            self._background(self._start_one())

    def _retire(self, child: Child) -> None:
        """Give a child nothing more; it ends when what it runs has ended."""
        child.retiring = True  # first, so that what is to be judged from here on goes to another child
        self._leftovers.recall(child)
        if not child.jobs:
            child.close()

    def hand_back(self, items: list[Held]) -> None:
        """Give tasks back that have not started; nothing is counted."""
        self._leftovers.hand_back(items)

    def _background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

"""Starts children, watches them, replaces them; says what became of the jobs of one that has ended."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from ..errors import AppNotFound
from ..pipe import frames, page
from ..states import Verb
from .child import Child, ChildProcess, Process
from .config import WorkerConfig
from .holdings import Held
from .launch import Launched, launch, socket_pair

logger = logging.getLogger("taskflow.worker")

MOST_CELLS = 4
"""Children that run suspects at once."""

Starter = Callable[[int, int], Awaitable[Process | None]]
"""Starts a child's code on a socket and a page (both as descriptors)."""


class Supervisor:
    """Keeps `config.children` children running.

    Args:
        config: how the worker runs.
        on_outcomes: takes outcomes with the tasks they belong to.
        on_room: called whenever a child may have room again.
        start_process: how a child is started, if not as a process.
        launched: children that were started already.
    """

    def __init__(
        self,
        config: WorkerConfig,
        on_outcomes: Callable[[list[tuple[Held, frames.Outcome]]], None],
        on_room: Callable[[], None],
        start_process: Starter | None = None,
        launched: Sequence[Launched] = (),
    ) -> None:
        self._config = config
        self._on_outcomes = on_outcomes
        self._on_room = on_room
        self._start_process = start_process
        self._launched = list(launched)
        self._stopping = False
        self._watchers: set[asyncio.Task[None]] = set()
        self._judging: list[Held] = []
        self._suspects: deque[Held] = deque()
        self._cells = 0
        self.children: list[Child] = []

    async def start(self) -> frames.Hello:
        """Start all children; what the first says about the app.

        Raises:
            AppNotFound: the app could not be imported.
        """
        children = [await self._launch() for _ in range(self._config.children)]
        hellos = await asyncio.gather(*(child.open() for child in children), return_exceptions=True)
        for hello in hellos:
            if isinstance(hello, frames.ImportFailed):
                raise AppNotFound(hello.error, details=hello.traceback)
            if not isinstance(hello, frames.Hello):
                raise AppNotFound(f"the child process ended while it imported the app {self._config.app!r}")
        for child in children:
            self._adopt(child)
        assert isinstance(hellos[0], frames.Hello)
        return hellos[0]

    def room(self) -> int:
        """How many more jobs the children can take."""
        return sum(child.room() for child in self.children)

    def give(self, items: list[Held]) -> None:
        """Send tasks to the children, each part to the one with most room.

        More than fits (a fetch that came late) goes to the emptiest: what does not start in time is taken
        back.
        """
        suspects = [held for held in items if held.taken.crashes]
        if suspects:
            # Was running when a process died: it runs alone, so that it can only hurt itself.
            items = [held for held in items if not held.taken.crashes]
            self._isolate(suspects)
        while items:
            child = max((c for c in self.children if c.takes_work), key=Child.room, default=None)
            if child is None:
                self._hand_back(items)
                return
            others = any(c is not child and c.room() > 0 for c in self.children)
            count = max(child.room() // 2, 1) if others else len(items)
            part, items = items[:count], items[count:]
            child.send_jobs(part)

    def judge(self, held: Held) -> None:
        """Ask a child for the verdict on a task that was ended from outside: it knows the retry policy."""
        child = next((c for c in self.children if c.takes_work), None)
        if child is None:
            self._judging.append(held)
        else:
            child.send_jobs([held])

    def watch_limits(self) -> None:
        """One look at the shared pages: jobs that did not start in time, and jobs over their hard limit."""
        now, now_ns = time.monotonic(), time.monotonic_ns()
        for child in list(self.children):
            if not child.jobs:
                continue
            if late := child.recall_late(now):
                self._hand_back(late)
            over = child.over_limit(now_ns)
            if over:
                self._expire(child, over)
            if child.retiring and over and len(over) == len(child.running()):
                child.kill()

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
        running = sum(child.takes_work for child in list(self.children))
        wanted = self._config.children
        if not running:
            return ["no child process runs: nothing can be started"]
        return [f"only {running} of {wanted} child processes run"] if running < wanted else []

    def broadcast(self, value: object) -> None:
        """Send a frame to every child."""
        for child in self.children:
            child.send(value)

    async def restart(self) -> None:
        """Replace every child by a new one; the old ones finish what they run."""
        old = [child for child in self.children if child.takes_work]
        for child in old:
            await self._replace(child)
        self._on_room()

    async def drain(self, grace: Callable[[], float]) -> None:
        """Stop: hand back what has not started, wait for the rest until `grace()` seconds are over, hand that
        back too.
        """
        self._stopping = True
        started = time.monotonic()
        self._hand_back(list(self._suspects))
        self._suspects.clear()
        for child in self.children:
            child.retiring = True
            self._hand_back(child.recall())
        while any(child.jobs for child in self.children) and time.monotonic() - started < grace():
            await asyncio.sleep(0.02)
        for child in self.children:
            interrupted = bool(child.jobs)
            self._hand_back([held for held, _ in child.left()])
            child.close()
            if interrupted:
                child.kill()
        if self._watchers:
            _, late = await asyncio.wait(self._watchers, timeout=2.0)
            for child in self.children if late else ():
                child.kill()
            if late:
                await asyncio.wait(late, timeout=2.0)

    # --- starting -------------------------------------------------------------------------------------------

    async def _launch(self) -> Child:
        slots = self._config.slots
        if self._start_process is None:
            started = self._launched.pop() if self._launched else launch(self._config)
            process = ChildProcess(started.process)
            return Child(started.connection, _open(started.memory, slots), slots, process)
        ours, theirs = socket_pair()
        memory = page.create()
        try:
            thread = await self._start_process(theirs.detach(), memory)
        except BaseException:
            os.close(memory)
            raise
        return Child(ours, _open(memory, slots), slots, thread)

    def _adopt(self, child: Child) -> None:
        self.children.append(child)
        self._background(self._watch(child))
        if child.takes_work:
            for held in self._judging:
                child.send_jobs([held])
            self._judging.clear()
            self._on_room()

    async def _start_one(self) -> None:
        """Start a replacement, however often that takes: what failed may be mended by the next deploy."""
        pause = 0.5
        while not self._stopping:
            child = await self._launch()
            try:
                hello = await child.open()
            except (OSError, EOFError):
                hello = frames.ImportFailed("the child process ended while it imported the app")
            if isinstance(hello, frames.Hello):
                self._adopt(child)
                return
            detail = hello.error if isinstance(hello, frames.ImportFailed) else "unexpected frame"
            logger.error("A new child could not start: %s; trying again in %.0fs", detail, pause)
            child.close()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 30.0)

    # --- watching -------------------------------------------------------------------------------------------

    async def _watch(self, child: Child) -> None:
        await child.listen(self._on_frame)
        child.close()
        code = await child.process.wait() if child.process is not None else 0
        self.children.remove(child)
        self._bury(child, code)
        child.page.close()
        child.settled.set()
        if not self._stopping and not child.retiring and not child.cell:
            await self._start_one()

    def _on_frame(self, child: Child, value: frames.FromChild) -> None:
        child.stalled = False
        match value:
            case frames.Outcomes(items):
                child.measure(items)
                known = [(child.jobs.pop(item.number, None), item) for item in items]
                self._on_outcomes([(held, item) for held, item in known if held is not None])
            case frames.Returned(numbers):
                self._hand_back(
                    [held for number in numbers if (held := child.jobs.pop(number, None)) is not None]
                )
        if not child.jobs:
            child.settled.set()
            if child.retiring:
                child.close()
        self._on_room()

    def _bury(self, child: Child, code: int) -> None:
        """Decide about the jobs of a child that has ended."""
        left = child.left()
        crashed = [held for held, started in left if started and not held.failure]
        if left and not self._stopping:
            logger.error(
                "Child %s ended (%s) while it ran %d tasks; %d more had not started; all go back at once",
                child.process.pid if child.process else "-",
                child.signal_name(code),
                sum(started for _, started in left),
                sum(not started for _, started in left),
            )
        self._hand_back([held for held, started in left if not started and not held.failure])
        self._hand_back(crashed, Verb.REQUEUE if child.retiring else Verb.REQUEUE_CRASHED)
        for held, _ in left:
            if held.failure:
                self.judge(held)

    def _expire(self, child: Child, over: list[Held]) -> None:
        """Jobs are over their hard limit: no more work for this child, its replacement starts, others get
        their grace.
        """
        for held in over:
            if not held.failure:
                held.failure = "hard time limit exceeded; its process was killed"
        if child.retiring:
            return
        logger.error(
            "Task %s in queue %s is over its hard time limit; its process will be killed",
            over[0].id,
            over[0].queue,
        )
        self._hand_back(child.recall())
        child.retiring = True
        asyncio.get_running_loop().call_later(self._config.grace, child.kill)
        if not child.cell:
            self._background(self._start_one())

    async def _replace(self, child: Child) -> None:
        await self._start_one()
        self._hand_back(child.recall())
        child.retiring = True
        if not child.jobs:
            child.close()

    def _hand_back(self, items: list[Held], verb: Verb = Verb.REQUEUE) -> None:
        if items:
            self._on_outcomes([(held, frames.Outcome(0, verb)) for held in items])

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._watchers.add(task)
        task.add_done_callback(self._watchers.discard)

    # --- suspects --------------------------------------------------------------------------------------------------

    def _isolate(self, suspects: list[Held]) -> None:
        for held in suspects:
            logger.warning(
                "Task %s of queue %s was running when a process died (%d times so far); it runs alone now",
                held.id,
                held.queue,
                held.taken.crashes,
            )
        self._suspects.extend(suspects)
        while self._cells < min(MOST_CELLS, len(self._suspects)):
            self._cells += 1
            self._background(self._run_cell())

    async def _run_cell(self) -> None:
        """One child that runs one suspect at a time, until there are no more."""
        child: Child | None = None
        try:
            while self._suspects and not self._stopping:
                if child is None or child.closed:
                    child = await self._start_cell()
                if child is None or not self._suspects:
                    continue
                child.settled.clear()
                child.send_jobs([self._suspects.popleft()])
                await child.settled.wait()
        finally:
            self._cells -= 1
            if child is not None:
                child.close()

    async def _start_cell(self) -> Child | None:
        child = await self._launch()
        child.cell = True
        try:
            if isinstance(await child.open(), frames.Hello):
                self._adopt(child)
                return child
        except (OSError, EOFError):
            pass
        child.close()
        await asyncio.sleep(1.0)
        return None


def _open(memory: int, slots: int) -> page.Page:
    """The page in this memory, which needs its descriptor no more."""
    try:
        return page.Page(memory, slots)
    finally:
        os.close(memory)


class ThreadProcess:
    """`-P solo`: the child's code runs in this process, so there is nothing to kill."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._ended = threading.Event()

    async def wait(self) -> int:
        """There is no exit code."""
        return 0

    def kill(self) -> None:
        """Cannot be done: the code runs in the worker's own process."""

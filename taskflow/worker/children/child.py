"""One child process, seen from the worker: its shared marks, and the jobs it holds."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import Sequence

from ...pipe import frames, shared_marks
from ..holding.held_tasks import Held
from ..timings import TIMINGS, Timings
from .framed_process import FramedProcess
from .liveness import Liveness
from .pace import Pace
from .process import Process
from .wear import Wear

_MOST_JOBS = shared_marks.RING
"""Of one frame."""


class Child(FramedProcess):
    """A running child; see `starter` for who starts it, and `group` for who keeps it."""

    _numbers = itertools.count(1)

    def __init__(
        self,
        connection: socket.socket,
        shared: shared_marks.SharedMarks,
        slots: int,
        process: Process,
        timings: Timings = TIMINGS,
    ) -> None:
        super().__init__(connection, process, timings)
        self.index = next(self._numbers)
        self.slots = slots
        self.width = slots
        """How many of its slots may be in use."""
        self.wear: Wear | None = None
        """After how much it is replaced, if there is such a limit."""
        self.marks = shared
        self.jobs: dict[int, Held] = {}
        self.retiring = False
        self.doomed = False
        """It is killed when its tasks have had their grace, since one of them is over its hard limit."""
        self.stalled = False
        self.quarantined = False
        """Runs suspects and nothing else."""
        self.life: asyncio.Task[None] | None = None
        """What waits for its end."""
        self.deaths = 0
        """How many children in a row died at once in its place before it."""
        self.born = self.heard_at
        self.liveness = Liveness(shared, timings)
        self._recalled_below = 1
        self._next = 1
        self.pace = Pace(self.born)

    # --- work -----------------------------------------------------------------------------------------------

    @property
    def takes_work(self) -> bool:
        """Whether it is one of those that tasks are given to."""
        return not (self.retiring or self.closed or self.quarantined)

    def room(self) -> int:
        """How many more jobs it can be sent."""
        if self.stalled or not self.takes_work:
            return 0
        room = self.width + self.pace.ahead(self.slots) - len(self.jobs)
        return max(room if self.wear is None else self.wear.room(room, self.width), 0)

    def send_jobs(self, items: list[Held]) -> None:
        """Send tasks to be run (or judged, where they were ended from outside)."""
        number, mine = self._next, self.jobs
        self.marks.expect(number, len(items))
        self._next += len(items)
        numbers = range(number, self._next)
        mine.update(zip(numbers, items, strict=True))
        jobs = _jobs(numbers, items)
        if self.wear is not None:
            self.wear.given += len(jobs)
        if len(jobs) == len(mine):
            # It was idle: the pace is measured from now on.
            self.pace.begins(time.monotonic())
        for batch in frames.batches(jobs, [len(job.message) for job in jobs], _MOST_JOBS):
            self.send(frames.Jobs(list(batch)))

    def cancel(self, held: Held) -> None:
        """Cancel a task, if it has it: one that has not started does not."""
        for number, job in self.jobs.items():
            if job is held:
                self.send(frames.Cancel(number))
                return

    def measure(self, count: int, seconds: float) -> None:
        """Learn the pace from so many outcomes that have just come, of attempts that took so long together."""
        self.pace.ended(time.monotonic(), count, seconds)

    def recall_late(self, now: float, *, idle: bool) -> list[Held]:
        """Take back what should have started and has not; such a child gets no work until it answers. `idle`: it runs nothing."""
        late = False
        for number, held in self.jobs.items():
            if not self.marks.has_started(number) and not held.failure:
                late = now - held.ready_at > self._timings.put_back
                break
        if not late:
            return []
        self.stalled = True
        self.pace.was_late(self._timings.put_back)
        if any(number >= self._recalled_below and self.marks.has_started(number) for number in self.jobs):
            self.liveness.got_on()
        self._recalled_below = self._next
        taken_back = self.recall()
        self.liveness.gave_back(now, idle=idle)
        self.ask(now)
        return taken_back

    def ask(self, now: float) -> None:
        """Ask whether its parts get on, unless it has not answered the last time."""
        if number := self.liveness.question(now):
            self.send(frames.Ping(number))

    def look(self, now: float, runs: Sequence[shared_marks.Running]) -> None:
        """One look at how it gets on, with what it runs now."""
        jobs = self.jobs
        kept = {run.number for run in runs if run.number not in jobs}
        unsaid: set[int] = set()
        quiet = now - self.heard_at > self._timings.ask
        if quiet and jobs:
            running = {run.number for run in runs}
            unsaid = {n for n in jobs if n not in running and self.marks.has_started(n)}
        self.liveness.look(now, busy=len(runs) >= self.slots, unsaid=unsaid, kept=kept)
        if self.liveness.is_due(now) and ((quiet and jobs) or self.liveness.wrong(0.0, work_waits=True)):
            self.ask(now)

    def recall(self) -> list[Held]:
        """Take back every job that has not started."""
        self.marks.recall(self._next)
        unstarted = [number for number in self.jobs if not self.marks.has_started(number)]
        if self.wear is not None:
            self.wear.given -= len(unstarted)
        return [self.jobs.pop(number) for number in unstarted]

    def over_limit(self, now_ns: int, runs: Sequence[shared_marks.Running]) -> list[Held]:
        """The jobs whose hard limit has passed, of those that run."""
        numbers = [run.number for run in runs if run.limit_ns and run.limit_ns <= now_ns]
        return [self.jobs[number] for number in numbers if number in self.jobs]

    def over_grace(self, now: float, runs: Sequence[shared_marks.Running]) -> list[Held]:
        """The jobs that were cancelled, run on, and are to be ended now."""
        held = [self.jobs.get(run.number) for run in runs]
        return [one for one in held if one is not None and 0 < one.terminate_at <= now]

    def running(self) -> list[tuple[Held, float]]:
        """The running jobs, and for how many seconds each has run."""
        now = time.monotonic_ns()
        runs = [(self.jobs.get(run.number), (now - run.started_ns) / 1e9) for run in self.marks.running()]
        return [(held, seconds) for held, seconds in runs if held is not None]

    # --- end ------------------------------------------------------------------------------------------------

    def discard(self) -> None:
        """Let go of one that was never given anything, and end it."""
        self.close()
        self.kill()
        self.marks.close()

    def left(self) -> list[tuple[Held, bool]]:
        """After its end: the jobs without an outcome, and whether each had started."""
        items = [(held, self.marks.has_started(number)) for number, held in self.jobs.items()]
        self.jobs.clear()
        return items


def _jobs(numbers: Sequence[int], items: Sequence[Held]) -> list[frames.Job]:
    return [
        frames.Job(
            number,
            held.queue,
            (taken := held.taken).id.encode("utf-8", "surrogateescape"),
            taken.message,
            held.failure,
            taken.first_failed_at,
            held.expires_at_ms,
            held.ran_seconds,
        )
        for number, held in zip(numbers, items, strict=True)
    ]

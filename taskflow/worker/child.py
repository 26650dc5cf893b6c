"""One child process, seen from the worker: its socket, its shared page, and the jobs it holds."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from ..pipe import frames, page
from .holdings import Held

logger = logging.getLogger("taskflow.worker")

AHEAD_SECONDS = 0.05
"""Quick tasks are sent ahead of the free slots, as many as will start within this time at their measured
pace.
"""

QUICK_SECONDS = 0.02
"""A task that takes longer on average is never sent ahead."""

START_SECONDS = 0.175
"""What has not started so long after it was taken is given back. The worker looks every 25 ms, so after 200 ms at the latest."""

_MOST_AHEAD = page.RING // 4


class Process(Protocol):
    """What runs the child."""

    pid: int

    async def wait(self) -> int:
        """Its exit code, when it has ended."""

    def kill(self) -> None:
        """End it at once."""


class ChildProcess:
    """A `Process` that was started."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    async def wait(self) -> int:
        """Its exit code, when it has ended; negative for a signal."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[int] = loop.create_future()

        def settle(code: int) -> None:
            if not ended.done():
                ended.set_result(code)

        def watch() -> None:
            code = self._process.wait()
            with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
                loop.call_soon_threadsafe(settle, code)

        # A thread of its own, as asyncio has for its processes: one that does not end must keep nothing else waiting.
        threading.Thread(target=watch, name=f"taskflow-child-{self.pid}", daemon=True).start()
        return await ended

    def kill(self) -> None:
        """End it at once; nothing happens if it has ended."""
        self._process.kill()


class Child:
    """A running child.

    `on_frame` is given every frame after the first; see `supervisor` for who starts it.
    """

    _numbers = itertools.count(1)

    def __init__(
        self, connection: socket.socket, shared: page.Page, slots: int, process: Process | None
    ) -> None:
        self.index = next(self._numbers)
        self.slots = slots
        self.page = shared
        self.process = process
        self.jobs: dict[int, Held] = {}
        self.retiring = False
        self.stalled = False
        self.closed = False
        self.cell = False
        """Runs suspects, one at a time, and nothing else."""
        self.settled = asyncio.Event()
        """Set when it holds no job any more."""
        self._connection = connection
        self._next = 1
        self._seconds = 1.0
        self._pace = 0.0
        self._frame_at = time.monotonic()
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self) -> frames.FromChild:
        """Wait for the child's first frame: what the app is, or why it could not be imported."""
        self._reader, self._writer = await asyncio.open_connection(sock=self._connection, limit=1 << 20)
        return await self._read()

    async def listen(self, on_frame: Callable[[Child, frames.FromChild], None]) -> None:
        """Give every frame to `on_frame` until the child is gone."""
        with contextlib.suppress(OSError, EOFError):
            while True:
                on_frame(self, await self._read())

    async def _read(self) -> frames.FromChild:
        header = await self._reader.readexactly(frames.LENGTH)
        try:
            body = await self._reader.readexactly(frames.body_size(header))
            return frames.decode_from_child(body)
        except frames.BadFrame as error:
            # The user's code has the same process: it may have written into our socket.
            logger.error("A child wrote what is no frame (%s): it is ended", error)
            self.kill()
            raise EOFError from None

    # --- work -----------------------------------------------------------------------------------------------

    @property
    def takes_work(self) -> bool:
        """Whether it is one of those that tasks are given to."""
        return not (self.retiring or self.closed or self.cell)

    def room(self) -> int:
        """How many more jobs it can be sent."""
        if self.stalled or not self.takes_work:
            return 0
        return max(self.slots + self._ahead() - len(self.jobs), 0)

    def _ahead(self) -> int:
        if self._seconds > QUICK_SECONDS:
            return 0
        return min(max(int(self._pace * AHEAD_SECONDS), self.slots), _MOST_AHEAD)

    def send_jobs(self, items: list[Held]) -> None:
        """Send tasks to be run (or judged, where they were ended from outside)."""
        jobs = []
        number, mine, expect = self._next, self.jobs, self.page.expect
        for held in items:
            expect(number)
            mine[number] = held
            taken = held.taken
            task_id = taken.id.encode("utf-8", "surrogateescape")
            jobs.append(
                frames.Job(number, held.queue, task_id, taken.message, held.failure, taken.first_failed_at)
            )
            number += 1
        self._next = number
        if len(jobs) == len(mine):
            # It was idle: the pace is measured from now on.
            self._frame_at = time.monotonic()
        self.send(frames.Jobs(jobs))

    def send(self, value: Any) -> None:
        """Send a frame; a child that is gone is noticed by `listen`."""
        if not self.closed:
            self._writer.write(frames.frame(value))

    def measure(self, outcomes: list[frames.Outcome]) -> None:
        """Learn the pace from outcomes that have just come."""
        now = time.monotonic()
        elapsed = max(now - self._frame_at, 1e-4)
        self._frame_at = now
        mean = sum(outcome.seconds for outcome in outcomes) / len(outcomes)
        # A slow task counts at once, a quick one little by little: sending too far ahead is the worse
        # mistake.
        weight = 0.5 if mean > self._seconds else 0.2
        self._seconds += weight * (mean - self._seconds)
        self._pace += 0.2 * (len(outcomes) / elapsed - self._pace)

    def recall_late(self, now: float) -> list[Held]:
        """Take back what should have started and has not; such a child gets no work until it answers."""
        late = False
        for number, held in self.jobs.items():
            if not self.page.has_started(number) and not held.failure:
                late = now - held.taken_at > START_SECONDS
                break
        if not late:
            return []
        self.stalled = True
        # Something slow is running: nothing is sent ahead until quick outcomes have been seen again.
        self._seconds = max(self._seconds, START_SECONDS)
        taken_back = self.recall()
        self.send(frames.Ping())
        return taken_back

    def recall(self) -> list[Held]:
        """Take back every job that has not started."""
        self.page.recall(self._next)
        unstarted = [number for number in self.jobs if not self.page.has_started(number)]
        return [self.jobs.pop(number) for number in unstarted]

    def over_limit(self, now_ns: int) -> list[Held]:
        """The running jobs whose hard limit has passed."""
        numbers = [run.number for run in self.page.running() if run.limit_ns and run.limit_ns <= now_ns]
        return [self.jobs[number] for number in numbers if number in self.jobs]

    def running(self) -> list[tuple[Held, float]]:
        """The running jobs, and for how many seconds each has run."""
        now = time.monotonic_ns()
        runs = [(self.jobs.get(run.number), (now - run.started_ns) / 1e9) for run in self.page.running()]
        return [(held, seconds) for held, seconds in runs if held is not None]

    # --- end ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the socket: the child ends at once."""
        if not self.closed:
            self.closed = True
            self._writer.close()

    def kill(self) -> None:
        """End the process at once."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()

    def signal_name(self, code: int) -> str:
        """How an exit code reads."""
        if code >= 0:
            return f"exit code {code}"
        with contextlib.suppress(ValueError):
            return f"signal {signal.Signals(-code).name}"
        return f"signal {-code}"

    def left(self) -> list[tuple[Held, bool]]:
        """After its end: the jobs without an outcome, and whether each had started."""
        items = [(held, self.page.has_started(number)) for number, held in self.jobs.items()]
        self.jobs.clear()
        return items

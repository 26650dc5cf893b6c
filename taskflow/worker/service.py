"""A loop of the worker: ticks until it is stopped, and survives what a tick raises."""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import BrokerError
from .health.troubles import Troubles
from .timings import TIMINGS

if TYPE_CHECKING:
    from .loops.guard import Guard

TIMEOUT = 10.0
"""Seconds of one command in a round. There is always another round, and no round without an end."""

LEAST_PAUSE = 0.1
"""Seconds after a round that failed."""


_TELLINGS = 6
"""How often a loop that stands still is told to end before another one is started beside it."""


class Service(ABC):
    """Something that the worker does again and again.

    A subclass gives `tick`, which does one round and returns the seconds until the next. Whatever it raises, the loop goes on,
    says so, and has the health red until a round succeeds, unless only the broker is away: a loop that has died while its
    process lives is the worst failure there is.
    """

    name = "service"

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._progress_at = 0.0
        self._resting = False
        self._is_failing = False
        self.has_looked = False
        """Whether it has completed a round, a wait or a command, or has failed: what it does first is done."""
        self.guard: Guard | None = None
        """Where one worker of many does this: who."""
        self.timings = TIMINGS
        """Those of its worker."""
        self.troubles = Troubles()
        """Where failures are said; those of one worker have one together."""

    @abstractmethod
    async def tick(self) -> float:
        """Do one round; the seconds until the next."""

    def start(self) -> None:
        """Start ticking."""
        self.lives()
        self._task = asyncio.create_task(self._run(), name=self.name)

    @property
    def runs(self) -> bool:
        """Whether it was started, and not stopped."""
        return self._task is not None and not self._task.done()

    async def stop(self) -> None:
        """Stop ticking; a round in progress is cancelled."""
        while not await self._cancelled():
            pass
        self._task = None
        self._is_failing = False
        self.troubles.worked(self.name)

    async def clear(self) -> None:
        """Remove from the server what the loop has written about this worker, at a clean stop. Most write nothing."""
        return

    async def _cancelled(self) -> bool:
        """Tell the loop to end; whether it has.

        Once is not always enough: a command that is just being sent may take it for its own time limit.
        """
        task = self._task  # another stop may be quicker, and forget it meanwhile
        if task is None or task.done():
            return True
        task.cancel()
        await asyncio.wait([task], timeout=0.5)
        return task.done()

    # --- what the watchdog looks at --------------------------------------------------------------------------

    def progressed(self) -> None:
        """Say that a round, a wait or a command was completed. Failures before it are over."""
        self._progress_at = time.monotonic()
        self.has_looked = True
        if self._is_failing:
            self._is_failing = False
            self.troubles.worked(self.name)

    def lives(self) -> None:
        """Say that it does not stand still, whether or not what it did has succeeded."""
        self._progress_at = time.monotonic()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """While it waits for something that may rightly take for ever, such as a free slot."""
        self._resting = True
        try:
            yield
        finally:
            self._resting = False
            self.lives()

    def still_for(self, now: float) -> float:
        """Seconds without progress; 0 while it rests or is stopped."""
        return 0.0 if self._task is None or self._resting else now - self._progress_at

    async def rebuild(self, *, keep_age: bool = False) -> None:
        """Start anew, without what the old round held on to.

        `keep_age`: it counts as standing still until the new loop has got on.
        """
        since = self._progress_at
        for _ in range(_TELLINGS):
            # Otherwise two rounds of one loop would run side by side on what it holds, such as a connection.
            if await self._cancelled():
                break
        if self._task is None:  # it was stopped meanwhile
            return
        self.start()
        if keep_age:
            self._progress_at = since

    async def _round(self) -> float:
        if self.guard is None or await self.guard.is_ours():
            return await self.tick()
        return self.guard.pause

    async def _run(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                pause = await self._round()
                failures = 0
                self.progressed()
            except (Exception, asyncio.CancelledError) as error:
                if _is_told_to_end(error):
                    raise
                if isinstance(error, BrokerError):
                    # The broker's trouble is not the loop's: it lives, and tries again.
                    self.lives()
                failures += 1
                first, longest = self.timings.first_pause, self.timings.longest_pause
                pause = min(first * 2 ** min(failures, 10), longest) * random.uniform(0.5, 1.0)
                # From the beginning of the round: one that has waited long for an answer has spared the broker enough, and a
                # replica may have taken over meanwhile.
                pause = max(pause - (time.monotonic() - began), LEAST_PAUSE)
                self._is_failing = self.has_looked = True
                self.troubles.failed(self.name, error)
            await asyncio.sleep(pause)


def _is_told_to_end(error: BaseException) -> bool:
    """Whether this task was cancelled. What it awaits may have been cancelled by somebody else, and ends no loop."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0

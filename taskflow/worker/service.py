"""A loop of the worker: ticks until it is stopped, and survives what a tick raises."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import BrokerError

logger = logging.getLogger("taskflow.worker")

TIMEOUT = 10.0
"""Seconds of one command in a round. There is always another round, and no round without an end."""


FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds between two rounds while the broker is away."""


_TELLINGS = 6
"""How often a loop that stands still is told to end before another one is started beside it."""


class Service(ABC):
    """Something that the worker does again and again.

    A subclass gives `tick`, which does one round and returns the seconds until the next. Errors of the broker
    are waited out; every other error is logged and the loop goes on: a loop that has died while its process
    lives is the worst failure there is (failures.md, row 1).
    """

    name = "service"

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._progress_at = 0.0
        self._resting = False

    @abstractmethod
    async def tick(self) -> float:
        """Do one round; the seconds until the next."""

    def start(self) -> None:
        """Start ticking."""
        self.progressed()
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """Stop ticking; a round in progress is cancelled."""
        while not await self._cancelled():
            pass
        self._task = None

    async def _cancelled(self) -> bool:
        """Tell the loop to end; whether it has.

        Once is not always enough: a command that is just being sent may take it for its own time limit.
        """
        if self._task is None or self._task.done():
            return True
        self._task.cancel()
        await asyncio.wait([self._task], timeout=0.5)
        return self._task.done()

    # --- what the watchdog looks at --------------------------------------------------------------------------

    def progressed(self) -> None:
        """Something was completed: a round, a wait, also a try that found the broker away."""
        self._progress_at = time.monotonic()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """While it waits for something that may rightly take for ever, such as a free slot."""
        self._resting = True
        try:
            yield
        finally:
            self._resting = False
            self.progressed()

    def still_for(self, now: float) -> float:
        """Seconds without progress; 0 while it rests or is stopped."""
        return 0.0 if self._task is None or self._resting else now - self._progress_at

    async def rebuild(self, *, keep_age: bool = False) -> None:
        """Start anew, without what the old round held on to.

        `keep_age`: it counts as standing still until the new loop has got on.
        """
        since = self._progress_at
        for _ in range(_TELLINGS):
            # Two rounds of one loop would share what it holds on to, such as a connection.
            if await self._cancelled():
                break
        self.start()
        if keep_age:
            self._progress_at = since

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                pause = await self.tick()
                failures = 0
                self.progressed()
            except BrokerError as error:
                # The broker's trouble is not the loop's: it lives, and tries again.
                self.progressed()
                failures += 1
                pause = min(FIRST_PAUSE * 2**failures, LONGEST_PAUSE) * random.uniform(0.5, 1.0)
                (logger.warning if failures in (1, 5) else logger.debug)("%s: %s", self.name, error)
            except Exception:
                logger.exception("%s: unexpected error; the loop goes on", self.name)
                pause = 1.0
            await asyncio.sleep(pause)

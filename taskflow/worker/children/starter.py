"""Starts children, as processes or as threads of this one; a start is tried again whatever it raised."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Sequence

from ...errors import AppNotFound
from ...pipe import frames, shared_marks
from ..config import WorkerConfig
from ..launch import Launched, launch, socket_pair
from ..timings import TIMINGS, Timings
from .child import Child
from .preloading import Preloading
from .process import ChildProcess, Process

logger = logging.getLogger("taskflow.worker")

Start = Callable[[int, int], Awaitable[Process]]
"""Starts a child's code on a socket and shared marks (both as descriptors)."""

FREE_DEATHS = 2
"""How many children in a row may die at once before there is a pause: for two tasks that kill, nothing should stand still."""


class Starter:
    """Starts children.

    Args:
        config: how the worker runs.
        start: how a child is started, if not as a process.
        launched: children that were started already.
    """

    def __init__(
        self, config: WorkerConfig, start: Start | None = None, launched: Sequence[Launched] = ()
    ) -> None:
        self._config = config
        self._start = start
        self._launched = list(launched)
        self._preloading = Preloading(config) if config.preload and start is None else None
        self._hurried = asyncio.Event()
        self.failure = ""
        """Why the last try failed."""

    async def first(self, count: int) -> tuple[list[Child], frames.Hello]:
        """Start a worker's first children, all at once; they, and what one says of the app.

        Raises:
            AppNotFound: the app could not be imported.
        """
        children = [await self.launch() for _ in range(count)]
        hellos = await asyncio.gather(*(child.open() for child in children), return_exceptions=True)
        for hello in hellos:
            if isinstance(hello, frames.Hello):
                continue
            for child in children:
                child.discard()
            self.close()
            if isinstance(hello, frames.ImportFailed):
                raise AppNotFound(hello.error, details=hello.traceback)
            raise AppNotFound(f"the child process ended while it imported the app {self._config.app!r}")
        assert isinstance(hellos[0], frames.Hello)
        return children, hellos[0]

    async def launch(self, slots: int | None = None) -> Child:
        """Start a child, which has not said anything yet.

        Raises:
            OSError: it cannot be started now.
            AppNotFound: it would be forked from one that has imported the app, and the app cannot be imported.
        """
        slots = slots or self._config.slots
        if self._preloading is not None:
            forked = await self._preloading.start(slots)
            if forked is not None:
                return Child(forked[0], _open(forked[1], slots), slots, forked[2], self._config.timings)
        if self._start is None:
            ready = self._launched and slots == self._config.slots
            started = self._launched.pop() if ready else launch(self._config, slots)
            return Child(
                started.connection,
                _open(started.memory, slots),
                slots,
                ChildProcess(started.process),
                self._config.timings,
            )
        ours, theirs = socket_pair()
        memory = shared_marks.create()
        try:
            process = await self._start(theirs.detach(), memory)
        except BaseException:
            os.close(memory)
            raise
        return Child(ours, _open(memory, slots), slots, process, self._config.timings)

    async def try_one(self, slots: int | None = None) -> tuple[Child, frames.Hello] | None:
        """Start a child and hear what it says; None, and `failure` says why, when there is none."""
        child: Child | None = None
        try:
            child = await self.launch(slots)
            hello = await child.open()
            if isinstance(hello, frames.Hello):
                self.failure = ""
                return child, hello
            self.failure = "unexpected frame"
            if isinstance(hello, frames.ImportFailed):
                self._not_imported(hello.error, hello.traceback)
        except AppNotFound as error:
            self._not_imported(str(error), error.details)
        except EOFError:
            self.failure = "the child process ended while it imported the app"
        except Exception as error:  # noqa: BLE001 - see below
            # Whatever it is (no descriptor, no memory, no process), it may be over in a moment; a worker without children
            # would be the worst that can come of it.
            self.failure = f"{type(error).__name__}: {error}"
        except BaseException:
            if child is not None:
                child.discard()
            raise
        if child is not None:
            child.discard()
        return None

    async def start(self, wanted: Callable[[], bool], deaths: int = 0) -> tuple[Child, frames.Hello] | None:
        """Start a child, however often that takes: what failed may be mended by the next deploy.

        Args:
            wanted: whether there is still need of it; else None is returned.
            deaths: how many in a row have died at once before it: with their number grows the pause before the next.
        """
        timings = self._config.timings
        if pause := pause_after(deaths, timings):
            self.failure = f"{deaths} in a row died at once"
            logger.error("%d children in a row died at once; the next is started in %.1f s", deaths, pause)
            await self._pause(pause)
        pause = timings.first_restart
        while wanted():
            started = await self.try_one()
            if started is not None:
                return started
            if wanted():
                logger.error("A new child could not start: %s; trying again in %.1f s", self.failure, pause)
            await self._pause(pause)
            pause = min(pause * 2, timings.longest_restart)
        return None

    def renew(self) -> None:
        """What is started from now on has the code as it is now."""
        if self._preloading is not None:
            self._preloading.renew()

    def close(self) -> None:
        """Nothing more is started."""
        if self._preloading is not None:
            self._preloading.close()

    def _not_imported(self, error: str, trace: str) -> None:
        self.failure = error
        if self._config.reload and trace:  # at the desk one wants to see where
            sys.stderr.write(trace)

    def hurry(self) -> None:
        """End all pauses that are under way: somebody may have mended what was wrong."""
        self._hurried.set()
        self._hurried = asyncio.Event()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurried.wait(), seconds)


def pause_after(deaths: int, timings: Timings = TIMINGS) -> float:
    """Seconds before the next start when so many children in a row have died at once."""
    if deaths <= FREE_DEATHS:
        return 0.0
    return min(timings.first_restart * 2.0 ** (deaths - FREE_DEATHS - 1), timings.longest_restart)


def _open(memory: int, slots: int) -> shared_marks.SharedMarks:
    """The marks in this memory; the descriptor is closed, since the mapping does not need it."""
    try:
        return shared_marks.SharedMarks(memory, slots)
    finally:
        os.close(memory)

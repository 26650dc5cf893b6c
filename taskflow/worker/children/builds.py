"""Asks children for messages that take the app's keys: the worker process has none, and no code of the user's."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Sequence

import msgspec

from ...errors import BuildFailed
from ...pipe import frames
from ..timings import Timings
from .child import Child

logger = logging.getLogger("taskflow.worker")

MOST_TRIES = 3
"""Children that are asked for one message, one after the other. Who asks again later does so from the beginning."""

LOOK_SECONDS = 0.05
"""Between two looks whether there is a child to ask."""


class Builds:
    """The questions that are open. What is built is nobody's task, and takes no slot.

    Args:
        children: those that run now; the group changes the list.
        timings: how long a child may take.
    """

    def __init__(self, children: Sequence[Child], timings: Timings) -> None:
        self._children = children
        self._timings = timings
        self._numbers = itertools.count(1)
        self._open: dict[int, tuple[Child, asyncio.Future[frames.Built | None]]] = {}
        self._stopping = asyncio.Event()

    async def build(self, work: frames.Build) -> frames.Built | None:
        """Have a message built; a child that dies over it, or does not answer in time, costs a question to another one.

        Args:
            work: what is to be built; its number is given here.

        Returns:
            What came of it; None: the worker stops, and nothing more is built.

        Raises:
            BuildFailed: no child has built it.
        """
        asked: set[Child] = set()
        why = "no child process takes work"
        for _ in range(MOST_TRIES):
            child = await self._choose(asked)
            if self._stopping.is_set():
                return None
            if child is None:
                break
            asked.add(child)
            try:
                built = await self._ask(child, work)
            except TimeoutError:
                why = f"child {child.process.pid} did not answer within {self._timings.build:g} s"
            else:
                if built is not None and not built.error:
                    return built
                why = f"child {child.process.pid} " + (f"met {built.error}" if built is not None else "ended")
            if self._stopping.is_set():
                return None
            logger.warning("A message for queue %s was not built: %s", work.queue, why)
        raise BuildFailed(f"a message for queue {work.queue} could not be built: {why}; it is tried again")

    def answered(self, child: Child, built: frames.Built) -> None:
        """A child has built something. What was asked of another one meanwhile, or of nobody, is dropped."""
        asked, answer = self._open.get(built.number, (None, None))
        if answer is not None and asked is child and not answer.done():
            answer.set_result(built)

    def lost(self, child: Child) -> None:
        """A child has ended: it builds nothing more."""
        self._end([answer for asked, answer in self._open.values() if asked is child])

    def stop(self) -> None:
        """The worker stops. What was to be joined is still on the server, as it was."""
        self._stopping.set()
        self._end([answer for _, answer in self._open.values()])

    async def _ask(self, child: Child, work: frames.Build) -> frames.Built | None:
        number = next(self._numbers)
        answer: asyncio.Future[frames.Built | None] = asyncio.get_running_loop().create_future()
        self._open[number] = child, answer
        try:
            child.send(msgspec.structs.replace(work, number=number))
            async with asyncio.timeout(self._timings.build):
                return await answer
        finally:
            del self._open[number]

    async def _choose(self, asked: set[Child]) -> Child | None:
        """The child with most room that was not asked yet; where there is none, one may be starting in the place of another."""
        deadline = asyncio.get_running_loop().time() + self._timings.build
        while not self._stopping.is_set():
            able = [child for child in self._children if child.takes_work and child not in asked]
            if able:
                return max(able, key=lambda child: (-self._load(child), child.room()))
            if asyncio.get_running_loop().time() >= deadline:
                break
            await asyncio.sleep(LOOK_SECONDS)
        return None

    def _load(self, child: Child) -> int:
        return sum(asked is child for asked, _ in self._open.values())

    @staticmethod
    def _end(answers: list[asyncio.Future[frames.Built | None]]) -> None:
        for answer in answers:
            if not answer.done():
                answer.set_result(None)

"""Asks the children where their threads and coroutines stand; each answer is one block in the log."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from ...pipe import frames
from .child import Child

logger = logging.getLogger("taskflow.worker")


class StackQuestions:
    """Who was asked, and has not answered yet; `seconds`: how long each has to say where it stands."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._asked: set[Child] = set()

    async def ask(self, children: Sequence[Child]) -> None:
        """Let every child say where it stands; of one that does not, that is said."""
        self._asked = set(children)
        for child in children:
            child.send(frames.DumpStacks())
        deadline = time.monotonic() + self._seconds
        while self._asked and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        for child in self._asked:
            if not child.closed:
                # Not by faulthandler: with it, all signal handlers share a small stack, and a burst of signals ends the child.
                logger.error(
                    "Child %d does not say where it stands: something holds its interpreter (py-spy dump -p %d shows what)",
                    child.process.pid,
                    child.process.pid,
                )
        self._asked.clear()

    def answered(self, child: Child, text: str) -> None:
        """One record, so one block, whatever the log's level: somebody has asked for it."""
        self._asked.discard(child)
        level = max(logging.WARNING, logger.getEffectiveLevel())
        # Not as an argument: the log would write its line breaks as text.
        logger.log(level, f"Stacks of child {child.process.pid}:\n{text}")

"""Begins the loops that no task waits for, a moment after those that take tasks."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from importlib import import_module

from ..service import Service

FIRST_TASKS_SECONDS = 0.1
"""For the first tasks to be taken and started before anything else is imported and asked for."""


class LateStart(Service):
    """A loop, so that a beginning that fails has the worker's health red and is tried again.

    Args:
        module: what they are imported from. In a thread: it takes up to a tenth of a second, and the event loop gets
            its turn every few milliseconds meanwhile.
        begin: begins what has not begun; where all has, it does nothing.
    """

    name = "start of the other loops"

    def __init__(self, module: str, begin: Callable[[], None]) -> None:
        super().__init__()
        self._module = module
        self._begin = begin
        self._waited = False

    async def tick(self) -> float:
        """Wait for the first tasks, then begin."""
        if not self._waited:
            self._waited = True
            return FIRST_TASKS_SECONDS
        if self._module not in sys.modules:
            await asyncio.to_thread(import_module, self._module)
        self._begin()
        return self.timings.partitions

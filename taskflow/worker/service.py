"""A loop of the worker: ticks until it is stopped, and survives what a tick raises."""

from __future__ import annotations

import asyncio
import logging
import random
from abc import ABC, abstractmethod

from ..errors import BrokerError

logger = logging.getLogger("taskflow.worker")


class Service(ABC):
    """Something that the worker does again and again.

    A subclass gives `tick`, which does one round and returns the seconds until the next. Errors of the broker
    are waited out; every other error is logged and the loop goes on: a loop that has died while its process
    lives is the worst failure there is (failures.md, row 1).
    """

    name = "service"

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def tick(self) -> float:
        """Do one round; the seconds until the next."""

    def start(self) -> None:
        """Start ticking."""
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """Stop ticking; a round in progress is cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                pause = await self.tick()
                failures = 0
            except BrokerError as error:
                failures += 1
                pause = min(0.5 * 2**failures, 5.0) * random.uniform(0.5, 1.0)
                (logger.warning if failures in (1, 5) else logger.debug)("%s: %s", self.name, error)
            except Exception:
                logger.exception("%s: unexpected error; the loop goes on", self.name)
                pause = 1.0
            await asyncio.sleep(pause)

"""Commits outcomes in batches: while one batch is on its way, the next gathers."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from ..broker.aio import AsyncBroker
from ..broker.command import Command
from ..broker.commands.finish import BATCH, Verdict, Written, finish
from ..clock import ServerClock
from ..errors import BrokerError
from ..pipe.frames import Outcome
from ..states import Verb
from .holdings import Held, Holdings

logger = logging.getLogger("taskflow.worker")

_VERBS = {verb.value: verb for verb in Verb}

TIMEOUT = 30.0
"""Seconds of one try.

There is always another: what the server has meanwhile given to somebody else, it refuses.
"""


@dataclass(slots=True)
class Counts:
    """What the acker has seen, for the log and for tests."""

    written: int = 0
    refused: int = 0


class Acker:
    """Writes verdicts, one batch per queue at a time.

    Args:
        broker: where to.
        holdings: what is held; a task leaves it when its verdict is written or refused.
        clock: the server's time.
    """

    def __init__(self, broker: AsyncBroker, holdings: Holdings, clock: ServerClock) -> None:
        self._broker = broker
        self._holdings = holdings
        self._clock = clock
        self._waiting: defaultdict[str, list[tuple[Held, Outcome]]] = defaultdict(list)
        self._writers: dict[str, asyncio.Task[None]] = {}
        self.counts = Counts()
        self.on_written: Callable[[], None] = lambda: None

    def add(self, items: list[tuple[Held, Outcome]]) -> None:
        """Outcomes to be written, as soon as the batch before them is."""
        waiting = self._waiting
        for item in items:
            waiting[item[0].queue].append(item)
        for queue in list(waiting):
            if waiting[queue] and queue not in self._writers:
                self._writers[queue] = asyncio.create_task(self._write(queue), name=f"acker-{queue}")

    @property
    def idle(self) -> bool:
        """Whether everything is written."""
        return not self._writers

    async def drain(self, timeout: float) -> bool:
        """Wait until everything is written; False when it is not in time."""
        if self._writers:
            await asyncio.wait(list(self._writers.values()), timeout=timeout)
        return self.idle

    def stop(self) -> None:
        """Give up what is not written: its leases will end, and others will run it."""
        for writer in self._writers.values():
            writer.cancel()

    async def _write(self, queue: str) -> None:
        try:
            while items := self._waiting[queue][:BATCH]:
                del self._waiting[queue][:BATCH]
                await self._write_batch(queue, items)
        finally:
            del self._writers[queue]

    async def _write_batch(self, queue: str, items: list[tuple[Held, Outcome]]) -> None:
        verdicts = [verdict(held, outcome) for held, outcome in items]
        replies = await self._written(queue, finish(queue, verdicts, self._clock.now()))
        self._holdings.remove(queue, [held for held, _ in items])
        refused = replies.count(Written.REFUSED)
        self.counts.refused += refused
        self.counts.written += len(items) - refused
        if refused:
            for (held, _), reply in zip(items, replies, strict=True):
                if reply is Written.REFUSED:
                    logger.warning(
                        "A late verdict on task %s of queue %s was refused: it is not ours any more",
                        held.id,
                        queue,
                    )
        self.on_written()

    async def _written(self, queue: str, command: Command[list[Written]]) -> list[Written]:
        """Write one batch, however often that takes."""
        pause = 0.1
        while True:
            try:
                return await self._broker.run(command, TIMEOUT)
            except BrokerError as error:
                # Not acknowledged: the tasks stay held and leased, and are written when the server is back.
                logger.warning("Verdicts on tasks of queue %s wait for the broker: %s", queue, error)
                command = command.again()
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, 5.0)


def verdict(held: Held, outcome: Outcome) -> Verdict:
    """The outcome as the script takes it."""
    taken = held.taken
    return Verdict(
        taken.id,
        _VERBS[outcome.verb],
        taken.receipt,
        outcome.message,
        outcome.at,
        outcome.result,
        outcome.error,
        outcome.lock,
    )

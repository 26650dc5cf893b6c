"""Takes the tasks of one queue: asks for slots, takes a batch, waits when there is nothing."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Callable

from ..broker.aio import AsyncBroker
from ..broker.commands.dequeue import Dequeued, Taken, dequeue, held
from ..broker.keys import queue_keys
from ..clock import ServerClock
from ..connection.waiting import Watch
from ..errors import BrokerError
from .crowd import Crowd
from .service import TIMEOUT, Service
from .shares import Shares

logger = logging.getLogger("taskflow.worker")

WAIT_SECONDS = 2.0
"""Of one blocking wait: under half of the socket's timeout."""

PAUSED_SECONDS = 1.0


class Fetcher(Service):
    """The loop of one queue.

    Args:
        queue: its name.
        owner: whose leases the tasks get.
        broker: where from.
        shares: who may take how many.
        take: is given the tasks.
        known: the receipts of what is held of this queue.
        clock: is told the server's time.
        crowd: what is known of the other workers on the queue; it learns here.
    """

    def __init__(
        self,
        queue: str,
        owner: str,
        broker: AsyncBroker,
        shares: Shares,
        take: Callable[[str, list[Taken]], None],
        known: Callable[[str], set[str]],
        clock: ServerClock,
        crowd: Crowd,
    ) -> None:
        super().__init__()
        self.name = f"fetcher of queue {queue}"
        self._queue = queue
        self._owner = owner
        self._broker = broker
        self._shares = shares
        self._take = take
        self._known = known
        self._clock = clock
        self._fetch: asyncio.Future[Dequeued] | None = None
        self._watch = Watch(broker.driver, queue_keys(queue).slot, queue_keys(queue).pending)
        self._crowd = crowd
        self._woken = False
        self._unsure = False

    async def tick(self) -> float:
        """Take one batch; wait when the queue is empty or paused, and take what has come then."""
        pause = await self._fetch_once()
        if pause is None:
            self.progressed()
            pause = await self._fetch_once()
        return pause or 0.0

    async def _fetch_once(self) -> float | None:
        """Take one batch; the pause before the next, or None: there is something in the queue now."""
        if self._unsure:
            await self._take_up_again()
        with self.resting():
            count = await self._shares.grant(self._queue)
        self._fetch = asyncio.ensure_future(self._dequeue(count))
        self._fetch.add_done_callback(_hear)
        # A fetch is never cancelled in the middle: what it took would wait for the end of its lease.
        reply = await asyncio.shield(self._fetch)
        if reply.orphans:
            logger.warning(
                "Queue %s listed %d ids without a task; they are kept in %s",
                self._queue,
                reply.orphans,
                queue_keys(self._queue).orphans,
            )
        if reply.paused:
            return PAUSED_SECONDS
        self._learn(found=bool(reply.tasks))
        if len(reply.tasks) < count:
            return await self._wait()
        return 0.0

    async def stop(self) -> None:
        """Stop; a fetch in progress is waited for, and what it brings is given to `take`."""
        await super().stop()
        if self._fetch is not None:
            await asyncio.wait([self._fetch], timeout=2.0)
        await self._watch.close()

    async def _dequeue(self, count: int) -> Dequeued:
        used = 0
        more = False
        # Until the reply is here, nobody knows whether the script has run.
        self._unsure = True
        try:
            while (reply := await self._ask(count)).unspent:
                self.progressed()
            self._unsure = False
            used, more = len(reply.tasks), len(reply.tasks) >= count
            self._clock.observe(reply.server_time)
            if reply.tasks:
                self._take(self._queue, reply.tasks)
            return reply
        finally:
            self._shares.settle(self._queue, count, used, more=more)

    async def _ask(self, count: int) -> Dequeued:
        return await self._broker.run(dequeue(self._queue, self._owner, secrets.token_hex(8), count), TIMEOUT)

    async def _take_up_again(self) -> None:
        """After a dequeue without a reply: take up what the server says that we hold and do not know of.

        What we knew before we asked is left out too: its verdict may have been written in the meantime.
        """
        known = self._known(self._queue)
        tasks = await self._broker.run(held(self._queue, self._owner), TIMEOUT)
        known |= self._known(self._queue)
        stranded = [taken for taken in tasks if taken.receipt not in known]
        if stranded:
            logger.warning(
                "%d tasks of queue %s are taken up again after a lost reply", len(stranded), self._queue
            )
            self._take(self._queue, stranded)
        self._unsure = False

    def _learn(self, *, found: bool) -> None:
        """What a fetch says about the crowd."""
        woken, self._woken = self._woken, False
        if woken:
            (self._crowd.won if found else self._crowd.lost)()
        elif found:
            self._crowd.found()

    async def _wait(self) -> float | None:
        """Wait until the list has something (None), unless that is for others to do: the pause before the next try."""
        try:
            while self._crowd.waits():
                if await self._watch.wait(WAIT_SECONDS):
                    self._woken = True
                    return None
                self.progressed()
        except BrokerError as error:
            logger.debug("%s: cannot wait (%s); asking once a second", self.name, error)
            return random.uniform(0.5, 1.0)
        return self._crowd.pause()


def _hear(fetch: asyncio.Future[Dequeued]) -> None:
    """A fetch that nobody waits for any more, since the worker ends, may fail without asyncio's complaint."""
    if not fetch.cancelled():
        fetch.exception()

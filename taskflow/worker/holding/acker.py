"""Commits outcomes in batches: while one batch is on its way, the next gathers.

The acker owns what it was given until the server has answered. Whatever a try raises, it is made again, said, and turns health
red: a verdict that is dropped is a task that stays active, and whose lease is renewed, for ever.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from ...broker.aio import AsyncBroker
from ...broker.commands.finish import finish
from ...broker.commands.outbox import Entry, put_there
from ...broker.words import Written
from ...clock import ServerClock
from ...states import Verb
from ...telemetry.events import Cancelled, Requeued, VerdictRefused, emit
from ..service import Service
from .held_tasks import Held, HeldTasks
from .unwritten import Batch, Item, UnwrittenQueue, spelled_out
from .verdicts import substitute

logger = logging.getLogger("taskflow.worker")

TIMEOUT = 30.0
"""Seconds of one try.

There is always another: what the server has meanwhile given to somebody else, it refuses.
"""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two tries of one queue."""

PROBE_TIMEOUT = 5.0

MOST_TRIES = 5
"""So often a verdict fails that is alone, while the server takes others, until another is written in its place."""

PERIOD = 1.0

_HAND_BACKS = frozenset({Verb.REQUEUE.value, Verb.REQUEUE_CRASHED.value, Verb.SNOOZE.value})


@dataclass(slots=True)
class Counts:
    """What the acker has seen, for the log and for tests."""

    written: int = 0
    refused: int = 0


class Acker(Service):
    """Writes verdicts, one batch per queue at a time.

    Args:
        broker: where to.
        held_tasks: what is held; a task leaves it when its verdict is written or refused.
        clock: the server's time.
        owner: the worker, as its attempts name it.
    """

    name = "acker"

    def __init__(
        self, broker: AsyncBroker, held_tasks: HeldTasks, clock: ServerClock, owner: str = ""
    ) -> None:
        super().__init__()
        self._broker = broker
        self._owner = owner
        self._held_tasks = held_tasks
        self._clock = clock
        self._queues: defaultdict[str, UnwrittenQueue] = defaultdict(UnwrittenQueue)
        self._stopped = False
        self.counts = Counts()
        self.on_written: Callable[[], None] = lambda: None
        self.on_followers: Callable[[str, list[Entry]], None] = lambda queue, entries: None
        """Takes what a queue's outbox has now, for delivery."""

    def add(self, items: list[Item]) -> None:
        """Outcomes to be written, as soon as the batch before them is."""
        touched: dict[str, UnwrittenQueue] = {}
        for item in items:
            name = item[0].queue
            queue = touched.get(name)
            if queue is None:
                queue = touched[name] = self._queues[name]
            queue.fresh.append(item)
        for name, queue in touched.items():
            if queue.writer is None:
                self._begin(name, queue)

    def add_done(self, done: list[Held]) -> None:
        """Tasks that are simply done, likewise."""
        names = {held.queue for held in done}
        for name in names:
            queue = self._queues[name]
            queue.done += done if len(names) == 1 else [held for held in done if held.queue == name]
            if queue.writer is None:
                self._begin(name, queue)

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    @property
    def idle(self) -> bool:
        """Whether everything is written."""
        return not len(self)

    async def drain(self, timeout: float) -> bool:
        """Wait until everything is written; False when it is not in time."""
        deadline = time.monotonic() + timeout
        while not self.idle and (left := deadline - time.monotonic()) > 0:
            writers = [queue.writer for queue in self._queues.values() if queue.writer is not None]
            if writers:
                await asyncio.wait(writers, timeout=left)
            else:
                await asyncio.sleep(0.01)
        return self.idle

    async def stop(self) -> None:
        """Give up what is not written: its leases will end, and others will run it."""
        self._stopped = True
        for queue in self._queues.values():
            if queue.writer is not None:
                queue.writer.cancel()
        await super().stop()

    async def tick(self) -> float:
        """See to it that whatever waits has somebody who writes it."""
        for name, queue in list(self._queues.items()):
            if not len(queue):
                self.troubles.worked(_who(name))
            elif not queue.is_written_to():
                self._begin(name, queue)
        return PERIOD

    def still_for(self, now: float) -> float:
        """Also of a writer whose try has no end."""
        stuck = [now - queue.moved_at - TIMEOUT for queue in self._queues.values() if len(queue)]
        return max([super().still_for(now), *stuck])

    async def rebuild(self, *, keep_age: bool = False) -> None:
        """Also the writers: what they had not yet an answer to is sent again."""
        writers = [queue.writer for queue in self._queues.values() if queue.writer is not None]
        for writer in writers:
            writer.cancel()
        await super().rebuild(keep_age=keep_age)

    # --- writing --------------------------------------------------------------------------------------------

    def _begin(self, name: str, queue: UnwrittenQueue) -> None:
        if not self._stopped:
            queue.moved_at = time.monotonic()
            queue.writer = asyncio.create_task(self._write(name, queue), name=f"acker-{name}")

    async def _write(self, name: str, queue: UnwrittenQueue) -> None:
        """Write until nothing is left."""
        me = asyncio.current_task()
        pause = FIRST_PAUSE
        try:
            while len(queue):
                now = queue.moved_at = time.monotonic()
                batch = queue.next(now)
                if batch is None:
                    await asyncio.sleep(min(queue.wait(now), PERIOD))
                    continue
                try:
                    await self._write_batch(name, queue, batch)
                    pause = FIRST_PAUSE
                except (Exception, asyncio.CancelledError) as error:
                    if isinstance(error, asyncio.CancelledError) and me is not None and me.cancelling():
                        raise
                    await self._failed(name, queue, batch, error, pause)
                    pause = min(pause * 2, LONGEST_PAUSE)
        finally:
            if queue.writer is me:
                queue.writer = None

    async def _write_batch(self, name: str, queue: UnwrittenQueue, batch: Batch) -> None:
        items = batch.items
        command = finish(
            name,
            [(held.taken, outcome) for held, outcome in items],
            self._clock.now(),
            self._owner,
            [held.taken for held in batch.done],
        )
        if batch.resent:
            command = command.again()
        # Not acknowledged before the answer: the tasks stay held and leased, and are written when the server is back.
        batch.resent = True
        replies = await self._broker.run(command, TIMEOUT)
        queue.settled(batch)
        self._held_tasks.remove(name, batch.held())
        if not queue.failed:
            queue.is_at_fault = False
            self.troubles.worked(_who(name))
        refused = replies.count(Written.REFUSED)
        self.counts.refused += refused
        self.counts.written += len(batch) - refused
        if refused or Requeued.heard or (items and Written.CANCELLED in replies[: len(items)]):
            _tell([*items, *spelled_out(batch.done)], replies)
        if items and any([outcome.then for _, outcome in items]):  # noqa: C419 - likewise
            self.on_followers(name, put_there([(held.taken, outcome) for held, outcome in items], replies))
        self.on_written()

    async def _failed(
        self, name: str, queue: UnwrittenQueue, batch: Batch, error: BaseException, pause_seconds: float
    ) -> None:
        who = _who(name)
        if not queue.is_at_fault:
            self.troubles.failed(who, error, note="they are held, and tried again")
        if batch not in queue.failed:
            return  # it was answered; what failed came after that
        queue.is_at_fault = await self._takes_others(name)
        if not queue.is_at_fault:
            await asyncio.sleep(pause_seconds * random.uniform(0.5, 1.0))
            return
        self.troubles.failed(
            who, error, grave=True, note="the broker takes others; these are held, and tried again"
        )
        batch.spell_out()
        if len(batch.items) > 1:
            queue.split(batch)
            return
        batch.tries += 1
        batch.not_before = time.monotonic() + min(FIRST_PAUSE * 2 ** min(batch.tries, 10), LONGEST_PAUSE)
        if batch.tries >= MOST_TRIES:
            self._replace(batch, error)

    async def _takes_others(self, name: str) -> bool:
        """Whether the same script, to the same node, is answered when nothing is in it: then it is for what is in it that
        a call fails.
        """
        try:
            await self._broker.run(finish(name, [], self._clock.now()), PROBE_TIMEOUT)
        except Exception:
            logger.debug("Queue %s takes no verdicts at all", name, exc_info=True)
            return False
        return True

    def _replace(self, batch: Batch, error: BaseException) -> None:
        """A verdict that can never be written: another in its place, so that somebody hears of the task."""
        [(held, outcome)] = batch.items
        instead = substitute(held, outcome, error, self._clock.now())
        if instead is not None:
            batch.items = [(held, instead)]
            batch.tries = 0
            batch.not_before = 0.0


def _tell(items: list[Item], replies: list[Written]) -> None:
    """What the server has made of verdicts, but for those that the child has told."""
    for (held, outcome), reply in zip(items, replies, strict=True):
        if reply is Written.REFUSED:
            if VerdictRefused.heard:
                emit(VerdictRefused(*held.who()))
        elif reply is Written.CANCELLED:
            if Cancelled.heard:
                emit(Cancelled(*held.who(), by_worker=True))
        elif outcome.verb in _HAND_BACKS and not outcome.number and Requeued.heard:
            emit(Requeued(*held.who(), crashed=outcome.verb == Verb.REQUEUE_CRASHED))


def _who(queue: str) -> str:
    """Whose trouble it is when verdicts cannot be written."""
    return f"verdicts on tasks of queue {queue}"

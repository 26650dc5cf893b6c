"""Takes the tasks of one queue: asks for slots, takes a batch, waits when there is nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...broker.aio import AsyncBroker
from ...broker.command import Command
from ...broker.commands.dequeue import Dequeued, Taken, backlog, dequeue, held
from ...broker.keys import queue_keys
from ...clock import ServerClock
from ...connection.settings import pack
from ...connection.waiting import ListWatch
from ...errors import BrokerError, BrokerUnavailable
from ...telemetry.saying import counted
from ..service import TIMEOUT, Service
from .fetch import Fetch
from .idle_backoff import IdleBackoff
from .places import Places, RollCall
from .slot_allocator import SlotAllocator

logger = logging.getLogger("taskflow.worker")

WAIT_SECONDS = 2.0
"""Of one blocking wait: under half of the socket's timeout."""

STOP_SECONDS = 2.0
"""How long a stop waits for the reply of a fetch that is under way."""


class _Ends(Exception):
    """No fetch is begun any more."""


class Fetcher(Service):
    """The loop of one queue.

    Args:
        queue: its name.
        owner: whose leases the tasks get.
        broker: where from.
        allocator: who may take how many.
        take: is given the tasks.
        known: the ids and lease tokens of what is held of this queue.
        clock: is told the server's time.
        backoff: what is known of the other workers on the queue; it learns here.
        places: who may wait on a connection; None: this queue may.
        roll_call: who tells it of tasks where it may not.
    """

    def __init__(
        self,
        queue: str,
        owner: str,
        broker: AsyncBroker,
        allocator: SlotAllocator,
        take: Callable[[str, list[Taken]], None],
        known: Callable[[str], set[tuple[str, str]]],
        clock: ServerClock,
        backoff: IdleBackoff,
        places: Places | None = None,
        roll_call: RollCall | None = None,
    ) -> None:
        super().__init__()
        self.name = f"fetcher of queue {queue}"
        self._waiting = f"the wait for queue {queue}"
        self._queue = queue
        self._owner = owner
        self._broker = broker
        self._allocator = allocator
        self._take = take
        self._known = known
        self._clock = clock
        keys = queue_keys(queue)
        self._watch = ListWatch(broker.driver, keys.slot, keys.pending)
        self._backoff = backoff
        self._places = places or Places()
        self._roll_call = roll_call or RollCall(broker)
        self._woken = False
        self._unsure = False
        self._ends = False
        self._answered = asyncio.Event()
        """Cleared while a fetch is under way."""
        self._answered.set()

    def start(self) -> None:
        """Start taking, for the first time or again."""
        self._ends = False
        super().start()

    @property
    def is_unsure(self) -> bool:
        """Whether the server may have given it tasks of which nothing is known here yet: a reply is awaited, or was lost."""
        return self._unsure

    async def tick(self) -> float:
        """Take one batch; wait when the queue is empty or paused, and take what has come then."""
        try:
            return await self._take_what_is_there()
        except _Ends:
            with self.resting():  # until the stop, which comes in a moment, ends the loop
                await asyncio.Event().wait()
            raise

    async def _take_what_is_there(self) -> float:
        if self._unsure:
            await self._take_up_again()
        with self.resting():
            count = await self._allocator.grant(self._queue)
        pause = self._next(*await self._dequeue(count))
        while pause is None:
            pause = await self._wait()
        return pause

    async def stop(self) -> None:
        """Stop; a fetch in progress is waited for, and what it brings is given to `take`."""
        self._ends = True
        # If it were cancelled in the middle, nobody would know of the tasks that it takes until their leases end.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._answered.wait(), STOP_SECONDS)
        await super().stop()
        await self._watch.close()
        self._places.left(self._queue)
        self.troubles.worked(self._waiting)

    def _next(self, reply: Dequeued, count: int) -> float | None:
        """The pause after a fetch; None: there is nothing more, so wait."""
        if reply.orphans:
            logger.warning(
                "Queue %s listed %s without a task, which %s kept in %s",
                self._queue,
                counted(reply.orphans, "id"),
                "is" if reply.orphans == 1 else "are",
                queue_keys(self._queue).orphans,
            )
        if reply.paused or reply.left:
            # What woke us is still there: nobody was faster, so there is nothing to learn from it.
            self._woken = False
            return self.timings.paused if reply.paused else self._backoff.pause_beside()
        if reply.tasks or not reply.orphans:
            self._learn(found=bool(reply.tasks))
        return None if len(reply.tasks) < count else 0.0

    async def _dequeue(self, count: int) -> tuple[Dequeued, int]:
        """Take a batch; and while batches come full, ask for the next before the last is given out: the server works meanwhile.

        So there is never more than one call of which nobody knows whether it has run.

        Returns:
            The last reply, and how many it was asked for.
        """
        before: list[Taken] = []
        while True:
            with self._fetching(count, before) as fetch:
                give = fetch.give_before if before else None
                while (reply := await self._broker.run(self._command(count), TIMEOUT, give)).unspent:
                    self.progressed()
                following = self._following(reply, count)
                fetch.took(reply, followed=following > 0)
            if not following:
                return reply, count
            self._next(reply, count)
            before, count = reply.tasks, following

    def _following(self, reply: Dequeued, count: int) -> int:
        """How many to ask for before a reply is worked through; 0: not before."""
        if not reply.tasks or len(reply.tasks) < count:
            return 0
        return self._allocator.follow(self._queue, len(reply.tasks))

    def _heard(self, reply: Dequeued, give: bool) -> None:
        """A dequeue is answered; its tasks are given out now, or with the next."""
        if give and reply.tasks:
            self._give(reply.tasks)
        self._unsure = False
        self._clock.observe(reply.server_time)
        self.progressed()

    def _gave(self, tasks: list[Taken]) -> None:
        """Give out what a fetch has brought after which another is under way."""
        try:
            self._give(tasks)
        finally:
            self._allocator.given(self._queue, len(tasks))

    def _give(self, tasks: list[Taken]) -> None:
        self._take(self._queue, tasks)
        self._places.busy(self._queue)

    async def _dequeue_here(self, count: int, data: bytes, command: Command[Dequeued]) -> Dequeued | None:
        """Take on the connection where the wait has just ended, with what was made ready for that; None: ask as always."""
        with self._fetching(count) as fetch:
            try:
                reply = command.parse(await self._watch.ask(data))
            except BrokerError as error:
                logger.debug("%s: asking once more (%s)", self.name, error)
                return None
            except Exception:
                # Not a reply of this script: what else comes on this connection may not be meant for what it seems to answer.
                await self._watch.close()
                raise
            fetch.took(reply)
        return reply

    @contextmanager
    def _fetching(self, count: int, before: list[Taken] | None = None) -> Iterator[Fetch]:
        """A dequeue: gives what is to be told its reply, in the same moment as it is here.

        `before`: what the one before has brought. It is given out whatever becomes of this one.
        """
        fetch = Fetch(count, before or [], self._gave, self._heard)
        try:
            if self._ends:
                raise _Ends
            # Until the reply is here, nobody knows whether the script has run.
            self._unsure = True
            self._answered.clear()
            yield fetch
        finally:
            fetch.give_before()
            self._answered.set()
            if not fetch.followed:
                self._allocator.account(self._queue, count, fetch.used, more=fetch.more)

    def _command(self, count: int) -> Command[Dequeued]:
        return dequeue(self._queue, self._owner, secrets.token_hex(8), count, self.timings.lease)

    async def _take_up_again(self) -> None:
        """After a dequeue without a reply: take up what the server says that we hold and do not know of.

        What we knew before we asked is left out too: its verdict may have been written in the meantime.
        """
        known = self._known(self._queue)
        tasks = await self._broker.run(held(self._queue, self._owner), TIMEOUT)
        known |= self._known(self._queue)
        stranded = [taken for taken in tasks if (taken.id, taken.lease_token) not in known]
        if stranded:
            logger.warning(
                "%s of queue %s taken up again after a lost reply",
                counted(len(stranded), "task"),
                self._queue,
            )
            self._take(self._queue, stranded)
        self._unsure = False

    def _learn(self, *, found: bool) -> None:
        """What a fetch says about the crowd."""
        woken, self._woken = self._woken, False
        if woken:
            (self._backoff.won if found else self._backoff.lost)()
        elif found:
            self._backoff.found()

    async def _wait(self) -> float | None:
        """Wait until the list has something, and take it; or, where that is for others to do, look a little later whether it has:
        the pause before the next fetch; None: wait on.
        """
        try:
            while (may := self._places.has(self._queue)) and self._backoff.waits():
                # Made ready while there is nothing to do: when a task comes, only sending is left.
                count = self._allocator.free()
                command = self._command(count)
                data = pack([command.wire(full=False, resent=False)])
                came = await self._watch.wait(WAIT_SECONDS)
                self.progressed()
                self.troubles.worked(self._waiting)
                if came:
                    self._woken = True
                    if not self._allocator.grant_at_once(self._queue, count):
                        return 0.0
                    reply = await self._dequeue_here(count, data, command)
                    return 0.0 if reply is None else self._next(reply, count)
        except BrokerError as error:
            logger.debug("%s: cannot wait (%s); asking once a second", self.name, error)
            if not isinstance(error, BrokerUnavailable):
                self.troubles.failed(self._waiting, error, note="it is asked once a second")
            return random.uniform(0.5, 1.0)
        if not may:
            await self._watch.close()
            self._places.left(self._queue)
            with self.resting():
                await self._roll_call.wait(self._queue)
            return 0.0
        await asyncio.sleep(self._backoff.pause())
        self.progressed()
        # A plain command and not the script: most looks of a crowd find nothing, and this one costs less.
        return 0.0 if await self._broker.run(backlog(self._queue), TIMEOUT) else None

"""Followers in the property model: the worker's own courier and janitor deliver them, and die after any of their steps."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from taskflow.broker.command import Command, Plain
from taskflow.broker.commands.outbox import CONFIRMED_SECONDS, Deliveries, Entry, Overdue, put_there
from taskflow.broker.words import Delivered, Written
from taskflow.clock import ServerClock
from taskflow.message.outcome import FollowUp
from taskflow.message.task_message import TaskMessage
from taskflow.worker.loops.courier import Courier
from taskflow.worker.loops.delivery import Delivery
from taskflow.worker.loops.outbox import OutboxJanitor
from taskflow.worker.taking.idle_backoff import IdleBackoff
from taskflow.worker.timings import Timings
from tests.properties.model import Item, Model
from tests.properties.place import Place

AT_ONCE = Timings(overdue=0.000001)
"""Everything in the outbox is overdue."""

ALL_STEPS = 1000


class Died(BaseException):
    """The process ends here."""


class Steps:
    """A broker for a process that dies after so many commands.

    Args:
        run: runs a command.
        left: commands until its end.
    """

    def __init__(self, run: Callable[[Any], Any], left: int) -> None:
        self._run = run
        self._left = left

    async def run(self, command: Any, timeout: float = 4.0) -> Any:
        if not self._left:
            raise Died
        self._left -= 1
        return self._run(command)

    async def run_many(self, commands: Sequence[Any], timeout: float = 4.0) -> list[Any]:
        return [await self.run(command) for command in commands]


def courier_trip(
    run: Callable[[Any], Any],
    home: str,
    entries: Sequence[Entry],
    steps: int,
    kind: type[Courier] = Courier,
) -> bool:
    """A courier delivers, and its process dies after so many commands; whether it came to its end."""

    async def trip() -> None:
        courier = kind(Delivery(Steps(run, steps)), ServerClock())  # type: ignore[arg-type]
        courier.add(home, list(entries))
        await courier.drain(10)
        await asyncio.sleep(0)  # what ended as none should has been noted then
        await courier.tick()

    return lives(trip())


def janitor_round(run: Callable[[Any], Any], home: str, steps: int = ALL_STEPS) -> bool:
    """A janitor delivers what is overdue; likewise."""

    async def look() -> None:
        broker: Any = Steps(run, steps)
        janitor = OutboxJanitor(home, broker, Delivery(broker), IdleBackoff())
        janitor.timings = AT_ONCE
        await janitor.tick()

    return lives(look())


def lives(work: Coroutine[Any, Any, Any]) -> bool:
    """Let a process do this; whether it came to its end."""
    try:
        asyncio.run(work)
    except Died:
        return False
    return True


class Following:
    """What a state machine does with followers. They go to the queue that their tasks are in, where everything else happens to
    them that happens to tasks.
    """

    place: Place
    model: Model

    def follows(self) -> None:
        """Begin."""
        self.led = 0
        self.counted: set[str] = set()
        """Followers of outcomes that were written."""
        self.enqueued: Counter[str] = Counter()
        self.courier: list[Entry] = []
        """What a worker knows to be in the outbox."""

    def new_followers(self, count: int) -> tuple[FollowUp, ...]:
        made = []
        for _ in range(count):
            self.led += 1
            message = TaskMessage(
                type="noop", payload=b"1", id=f"f{self.led}", queue=self.place.name, timeout=60
            )
            at = float(int(time.time()) + 300) if self.led % 2 == 0 else 0.0
            made.append(FollowUp(self.place.name, message.id, message.encode(), at))
        return tuple(made)

    def counts(self, items: Sequence[Item], replies: Sequence[Written], *, lost: bool) -> None:
        """Outcomes were written, or not."""
        for (_, outcome), reply in zip(items, replies, strict=True):
            if reply is Written.WRITTEN:
                self.counted |= {one.id for one in outcome.then}
        if not lost:
            self.courier += put_there(items, replies)

    @precondition(lambda self: self.courier)
    @rule(steps=st.integers(0, 3))
    def a_courier_delivers_and_may_die(self, steps: int) -> None:
        """Its process is gone then; what it knew, nobody knows."""
        entries, self.courier = self.courier, []
        courier_trip(self._step, self.place.name, entries, ALL_STEPS if steps == 3 else steps)

    @precondition(lambda self: self.model.followers)
    @rule(steps=st.integers(0, 4))
    def a_janitor_delivers_and_may_die(self, steps: int) -> None:
        if not janitor_round(self._step, self.place.name, ALL_STEPS if steps == 4 else steps):
            return
        assert not self.model.followers, "a janitor that is through leaves nothing"
        assert self.enqueued.keys() == self.counted, "each follower of an outcome that counted is enqueued"

    def _step(self, command: Command[Any] | Plain[Any]) -> Any:
        """A command of courier or janitor, compared with what the model makes of it."""
        reply = self.place.run(command)
        if not isinstance(command, Command):
            if command.words[0] == "EXPIRE":
                self.model.store.expireat(command.words[1], time.time() + CONFIRMED_SECONDS)
            return reply
        if isinstance(reply, Deliveries):
            words = command.args[2:]
            followers = [
                FollowUp(self.place.name, *words[begin : begin + 3]) for begin in range(0, len(words), 3)
            ]
            assert reply.replies == self.model.deliver(followers)
            self._note(followers, reply.replies)
        elif isinstance(reply, Overdue):
            assert {one.name: one.follower for one in reply.entries} == self.model.followers
            assert {one.name for one in reply.entries} == self.model.overdue()
        else:
            assert reply == self.model.confirm(command.args)
        return reply

    def _note(self, followers: Sequence[FollowUp], replies: Sequence[Delivered]) -> None:
        for follower, reply in zip(followers, replies, strict=True):
            assert follower.id in self.counted, f"{follower.id} follows an outcome that never counted"
            self.enqueued[follower.id] += reply is Delivered.DELIVERED
            assert self.enqueued[follower.id] == 1, f"{follower.id} was enqueued more than once, or never"

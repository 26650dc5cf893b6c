"""What owns tasks owns them until the server has answered, whatever a try raises."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis

from taskflow.broker.aio import AsyncBroker
from taskflow.broker.commands.dequeue import dequeue
from taskflow.broker.commands.enqueue import NewTask, enqueue
from taskflow.broker.commands.finish import finish
from taskflow.clock import ServerClock
from taskflow.connection.aio import AsyncDriver
from taskflow.errors import BrokerUnavailable
from taskflow.message.outcome import FollowUp, Outcome
from taskflow.message.task_message import TaskMessage
from taskflow.states import Verb
from taskflow.telemetry.events import Requeued, VerdictRefused
from taskflow.worker.holding import acker as acker_module
from taskflow.worker.holding.acker import Acker
from taskflow.worker.holding.held_tasks import Held, HeldTasks
from tests.listening import listening
from tests.servers import Server, until

Breaks = Callable[[Any], BaseException | None]
"""What a command is answered with instead of being sent; None: it is sent."""


class Breakable(AsyncBroker):
    """A broker whose commands may fail as told."""

    breaks: Breaks = staticmethod(lambda command: None)
    failed = 0

    async def run(self, command: Any, timeout: float = 4.0) -> Any:
        if (error := self.breaks(command)) is not None:
            self.failed += 1
            raise error
        return await super().run(command, timeout)


class Rig:
    """An acker, and tasks that it was told of as taken."""

    def __init__(self, url: str, queue: str) -> None:
        self.queue = queue
        self.broker = Breakable(AsyncDriver(url))
        self.held_tasks = HeldTasks()
        self.acker = Acker(self.broker, self.held_tasks, ServerClock())

    async def take(self, *ids: str) -> list[Held]:
        tasks = [
            NewTask(TaskMessage(type="t", payload=b"", id=one, queue=self.queue, timeout=60)) for one in ids
        ]
        await self.broker.run(enqueue(self.queue, tasks))
        taken = (await self.broker.run(dequeue(self.queue, "me", "0123456789abcdef", len(ids)))).tasks
        items = [Held(self.queue, one) for one in taken]
        self.held_tasks.add(self.queue, items)
        return items


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acker_module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(acker_module, "LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(acker_module, "PERIOD", 0.05)


@asynccontextmanager
async def acking(server: Server, queue: str) -> AsyncIterator[Rig]:
    rig = Rig(server.url, queue)
    rig.acker.start()
    try:
        yield rig
    finally:
        await rig.acker.stop()
        await rig.broker.close()


def _done(items: list[Held]) -> list[tuple[Held, Outcome]]:
    return [(held, Outcome(0, Verb.DONE.value)) for held in items]


def _is_finish(command: Any) -> bool:
    return bool(command.name == "finish")


@pytest.mark.parametrize(
    "error", [RuntimeError("a bug"), OSError(24, "Too many open files"), asyncio.CancelledError()]
)
def test_verdicts_survive_an_error_of_any_class_and_health_is_red_until_they_are_written(
    valkey: Server, queue: str, raw: redis.Redis, error: BaseException
) -> None:
    """Any error but the broker's ended the writer, with the batch that it had taken out: finished tasks stayed active, their
    leases were renewed for ever, and nothing said so.
    """

    async def scene() -> None:
        async with acking(valkey, queue) as rig:
            items = await rig.take(*"abc")
            rig.broker.breaks = lambda command: error if _is_finish(command) else None
            rig.acker.add(_done(items))
            await until(lambda: rig.broker.failed > 6)
            assert not rig.acker.idle
            assert len(rig.held_tasks) == 3
            assert rig.acker.troubles.complaints(), "red"
            rig.broker.breaks = lambda command: None
            await until(lambda: rig.acker.idle)
            assert len(rig.held_tasks) == 0
            assert rig.acker.counts.written == 3
            assert rig.acker.troubles.complaints() == []

    asyncio.run(scene())
    assert raw.llen(f"asynq:{{{queue}}}:active") == 0
    assert raw.zcard(f"asynq:{{{queue}}}:archived") == 0


def test_only_what_the_outbox_has_is_delivered(valkey: Server, queue: str) -> None:
    """Cut off while it sent its verdict, a worker finds the task gone: another attempt has ended it, and has had its followers.
    Those of the first were delivered beside them.
    """

    async def scene() -> None:
        async with acking(valkey, queue) as rig:
            followers: list[str] = []
            rig.acker.on_followers = lambda name, entries: followers.extend(
                entry.follower.id for entry in entries
            )
            (item,) = await rig.take("a")
            rig.broker.breaks = lambda command: BrokerUnavailable("away") if _is_finish(command) else None
            rig.acker.add([(item, Outcome(0, Verb.DONE.value, then=(FollowUp("other", "f1", b"m"),)))])
            await until(lambda: rig.broker.failed)
            other = (item.taken, Outcome(0, Verb.DONE.value))
            await AsyncBroker(rig.broker.driver).run(finish(queue, [other], 0.0))
            rig.broker.breaks = lambda command: None
            await until(lambda: rig.acker.idle)
            assert followers == []
            (item,) = await rig.take("b")
            rig.acker.add([(item, Outcome(0, Verb.DONE.value, then=(FollowUp("other", "f2", b"m"),)))])
            await until(lambda: rig.acker.idle)
            assert followers == ["f2"]

    asyncio.run(scene())


def test_a_broker_that_is_away_is_waited_for_and_leaves_it_green(valkey: Server, queue: str) -> None:
    async def scene() -> None:
        async with acking(valkey, queue) as rig:
            items = await rig.take(*"abc")
            rig.broker.breaks = lambda command: BrokerUnavailable("away")
            rig.acker.add(_done(items))
            await until(lambda: rig.broker.failed > 6)
            assert rig.acker.troubles.complaints() == []
            rig.broker.breaks = lambda command: None
            await until(lambda: rig.acker.counts.written == 3)

    asyncio.run(scene())


def test_one_verdict_that_cannot_be_written_keeps_none_of_its_neighbours_waiting(
    valkey: Server, queue: str, raw: redis.Redis
) -> None:
    """A batch was tried as a whole, for ever: one verdict that the server does not take (over its limit for one value, for
    instance) and 99 others were never written. What comes later goes on too, and the one is archived, with the reason.
    """
    ids = [f"{number:02}" for number in range(40)]

    async def scene() -> None:
        async with acking(valkey, queue) as rig:
            items = await rig.take(*ids)
            big = b"x" * 1000
            rig.broker.breaks = lambda command: (
                BrokerUnavailable("Connection closed by server") if big in command.args else None
            )
            outcomes = _done(items)
            outcomes[7] = (items[7], Outcome(0, Verb.COMPLETE.value, delay=600, result=big))
            rig.acker.add(outcomes[:20])
            # Red, though the error says that the broker is away.
            await until(lambda: "the broker takes others" in str(rig.acker.troubles.complaints()))
            rig.acker.add(outcomes[20:])
            await until(lambda: rig.acker.idle)
            assert rig.acker.counts.written == 40
            assert rig.acker.troubles.complaints() == []

    asyncio.run(scene())
    assert raw.zrange(f"asynq:{{{queue}}}:archived", 0, -1) == [b"07"]
    message = TaskMessage.decode(raw.hget(f"asynq:{{{queue}}}:t:07", "msg"))
    assert message.error_msg == "its verdict could not be written (BrokerUnavailable)"


def names(command: Any, id_: str) -> bool:
    """Whether a call writes down that this task is simply done: the ids of all are in one word."""
    return any(id_.encode() in word for word in command.args if isinstance(word, bytes))


def test_what_is_simply_done_is_written_held_through_errors_and_told_apart_when_it_cannot_be(
    valkey: Server, queue: str, raw: redis.Redis
) -> None:
    """Of these only the tasks are known, and no outcomes: a list beside that of the others, by the same rules."""
    ids = [f"{number:02}" for number in range(20)]

    async def scene() -> None:
        async with acking(valkey, queue) as rig:
            items = await rig.take(*ids)
            rig.broker.breaks = lambda command: BrokerUnavailable("away")
            rig.acker.add_done(items[:10])
            await until(lambda: rig.broker.failed > 3)
            assert (len(rig.acker), len(rig.held_tasks)) == (10, 20)
            rig.broker.breaks = lambda command: RuntimeError("a bug") if names(command, "07") else None
            await until(lambda: "the broker takes others" in str(rig.acker.troubles.complaints()))
            rig.acker.add_done(items[10:])
            await until(lambda: len(rig.held_tasks) == 1)
            rig.broker.breaks = lambda command: None
            await until(lambda: rig.acker.idle)
            assert rig.acker.counts.written == 20
            assert len(rig.held_tasks) == 0

    asyncio.run(scene())
    assert raw.llen(f"asynq:{{{queue}}}:active") == 0


def test_of_what_is_simply_done_in_several_queues_each_has_its_own(
    valkey: Server, queue: str, raw: redis.Redis
) -> None:
    async def scene() -> None:
        async with acking(valkey, queue) as rig:
            here = await rig.take("a", "b")
            rig.queue = f"{queue}-2"
            there = await rig.take("c")
            rig.acker.add_done([here[0], there[0], here[1]])
            await until(lambda: rig.acker.idle)
            assert rig.acker.counts.written == 3

    asyncio.run(scene())
    assert not raw.exists(*[f"asynq:{{{name}}}:active" for name in (queue, f"{queue}-2")])


def test_an_outcome_that_is_none_is_archived_with_the_reason(
    valkey: Server, queue: str, raw: redis.Redis
) -> None:
    """The user's code has the child's process and may write into its socket: a verb that does not exist."""

    async def scene() -> None:
        async with acking(valkey, queue) as rig:
            items = await rig.take("a", "b")
            rig.acker.add([(items[0], Outcome(0, "?")), *_done(items[1:])])
            await until(lambda: rig.acker.idle)

    asyncio.run(scene())
    assert raw.zrange(f"asynq:{{{queue}}}:archived", 0, -1) == [b"a"]
    assert not raw.exists(f"asynq:{{{queue}}}:t:b")


def test_a_writer_that_ends_is_replaced_and_one_without_end_is_started_anew(
    valkey: Server, queue: str
) -> None:
    async def scene() -> None:
        async with acking(valkey, queue) as rig:
            items = await rig.take("a", "b")
            never = asyncio.Event()
            run = rig.broker.run

            async def hang(command: Any, timeout: float = 4.0) -> Any:
                await never.wait()

            rig.broker.run = hang  # type: ignore[method-assign]
            rig.acker.add(_done(items))
            await asyncio.sleep(0.1)
            writer = rig.acker._queues[queue].writer
            assert writer is not None
            rig.broker.run = run  # type: ignore[method-assign]
            await rig.acker.rebuild()
            await until(lambda: rig.acker.idle)
            assert writer.done()
            items = await rig.take("c")
            rig.broker.run = hang  # type: ignore[method-assign]
            rig.acker.add(_done(items))
            await asyncio.sleep(0.1)
            writer = rig.acker._queues[queue].writer
            assert writer is not None
            rig.broker.run = run  # type: ignore[method-assign]
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            await until(lambda: rig.acker.idle)
            assert rig.acker.counts.written == 3

    asyncio.run(scene())


def test_what_the_server_makes_of_verdicts_is_told_with_the_names_of_the_tasks(
    valkey: Server, queue: str, raw: redis.Redis
) -> None:
    """Only the worker knows that a verdict was refused, or that a task is in its queue again; what a child has decided, the child
    tells.
    """

    async def scene() -> list[Any]:
        async with acking(valkey, queue) as rig:
            items = {held.id: held for held in await rig.take(*"abcd")}
            raw.hset(f"asynq:{{{queue}}}:t:a", "receipt", "another")
            verbs = {"a": Verb.DONE, "b": Verb.DONE, "c": Verb.REQUEUE, "d": Verb.REQUEUE_CRASHED}
            with listening(Requeued, VerdictRefused) as told:
                rig.acker.add([(items[one], Outcome(0, verb.value)) for one, verb in verbs.items()])
                await until(lambda: rig.acker.idle)
            return told

    told = asyncio.run(scene())
    assert told == [
        VerdictRefused("t", "a", queue, 0),
        Requeued("t", "c", queue, 0),
        Requeued("t", "d", queue, 0, crashed=True),
    ]

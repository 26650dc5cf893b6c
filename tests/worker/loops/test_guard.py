"""Of the workers that have a guarded loop, one runs it; another takes over when that one is gone."""

from __future__ import annotations

import asyncio

import redis

from taskflow.broker.aio import AsyncBroker
from taskflow.broker.commands.guards import hold_guard
from taskflow.broker.sync import Broker
from taskflow.connection.aio import AsyncDriver
from taskflow.worker.loops.guard import Guard
from taskflow.worker.service import Service
from tests.servers import Server, until


class Counts(Service):
    """A loop that counts its rounds."""

    name = "counts"

    def __init__(self, broker: AsyncBroker, queue: str, owner: str) -> None:
        super().__init__()
        self.guard = Guard(broker, queue, "counts", owner, 0.3)
        self.rounds = 0

    async def tick(self) -> float:
        self.rounds += 1
        return 0.02


def test_one_of_many_runs_a_guarded_loop_and_another_takes_over(valkey: Server, queue: str) -> None:
    """Without a leader: whoever comes first has it as long as it comes again, and only its silence says that it is gone."""

    async def scene() -> None:
        broker = AsyncBroker(AsyncDriver(valkey.url))
        first, second = Counts(broker, queue, "first"), Counts(broker, queue, "second")
        first.start()
        await until(lambda: first.rounds > 0)
        second.start()
        await until(lambda: first.rounds > 30)
        assert second.rounds == 0
        assert second.still_for(second._progress_at) == 0.0  # it gets on: it looks again and again
        await first.stop()
        await until(lambda: second.rounds > 3)
        seen = first.rounds
        first.start()
        await until(lambda: second.rounds > 30)
        assert first.rounds == seen
        await asyncio.gather(first.stop(), second.stop())
        await broker.close()

    asyncio.run(scene())


def test_a_guard_ends_by_itself_and_is_for_one_name_of_one_queue(
    broker: Broker, raw: redis.Redis, queue: str
) -> None:
    assert broker.run(hold_guard(queue, "janitor", "a", 60.0))
    assert broker.run(hold_guard(queue, "janitor", "a", 60.0)), "again"
    assert not broker.run(hold_guard(queue, "janitor", "b", 60.0))
    assert broker.run(hold_guard(queue, "scheduler", "b", 60.0))
    assert 0 < raw.pttl(f"taskflow:{{{queue}}}:guard:janitor") <= 60_000


def test_what_is_no_guard_in_its_place_is_nobodys(broker: Broker, raw: redis.Redis, queue: str) -> None:
    """A list under this name, without an end, would keep all workers from the work for ever."""
    raw.rpush(f"taskflow:{{{queue}}}:guard:janitor", "x")
    assert broker.run(hold_guard(queue, "janitor", "a", 60.0))
    assert not broker.run(hold_guard(queue, "janitor", "b", 60.0))

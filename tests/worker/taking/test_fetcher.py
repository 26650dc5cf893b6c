"""The loop that takes a queue's tasks: what it holds is known whenever it stops, and whatever becomes of a reply."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis

from taskflow.broker.aio import AsyncBroker
from taskflow.broker.command import Plain
from taskflow.broker.commands import dequeue as dequeue_module
from taskflow.broker.commands.dequeue import Taken
from taskflow.broker.commands.enqueue import NewTask, enqueue
from taskflow.clock import ServerClock
from taskflow.connection.aio import AsyncDriver
from taskflow.connection.waiting import ListWatch
from taskflow.errors import BrokerUnavailable
from taskflow.message.task_message import TaskMessage
from taskflow.worker.errands import Errands
from taskflow.worker.taking import fetcher as fetcher_module
from taskflow.worker.taking.fetcher import Fetcher
from taskflow.worker.taking.idle_backoff import IdleBackoff
from taskflow.worker.taking.slot_allocator import SlotAllocator
from taskflow.worker.taking.takers import Takers
from tests.servers import Server, until


class Rig:
    """A fetcher of the queue `q` that has eight slots, and what it took."""

    def __init__(self, url: str) -> None:
        self.broker = AsyncBroker(AsyncDriver(url))
        self.taken: list[Taken] = []
        self.allocator = SlotAllocator({"q": 1}, strict=False, room=lambda: 8 - len(self.taken), most=8)
        self.fetcher = Fetcher(
            "q", "me", self.broker, self.allocator, self._take, self._known, ServerClock(), IdleBackoff()
        )

    def _take(self, queue: str, tasks: list[Taken]) -> None:
        self.taken += tasks

    def _known(self, queue: str) -> set[tuple[str, str]]:
        return {(taken.id, taken.lease_token) for taken in self.taken}

    @property
    def ids(self) -> list[str]:
        return [taken.id for taken in self.taken]

    async def enqueue(self, *ids: str) -> None:
        tasks = [NewTask(TaskMessage(type="t", payload=b"", id=id_, queue="q", timeout=60)) for id_ in ids]
        await self.broker.run(enqueue("q", tasks))

    async def waits(self) -> None:
        """Until it waits for the list, as the server sees it."""
        await until(lambda: self.fetcher._watch._connection is not None)
        while await self.broker.run(Plain(("INFO", "clients"), _blocked)) == 0:
            await asyncio.sleep(0.01)


def _blocked(reply: bytes) -> int:
    return int(reply.split(b"blocked_clients:")[1].split()[0])


@asynccontextmanager
async def fetching(url: str) -> AsyncIterator[Rig]:
    rig = Rig(url)
    rig.fetcher.start()
    yield rig
    await rig.fetcher.stop()
    await rig.broker.close()


def test_what_comes_while_it_waits_is_taken_where_it_waited(
    own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    ask = ListWatch.ask

    async def note(self: ListWatch, data: bytes) -> Any:
        asked.append(data)
        return await ask(self, data)

    monkeypatch.setattr(ListWatch, "ask", note)

    async def scene() -> None:
        async with fetching(own_server.url) as rig:
            for number in range(3):
                await rig.waits()
                await rig.enqueue(str(number))
                await until(lambda so_far=number: len(rig.taken) > so_far)  # type: ignore[misc]
            assert rig.ids == ["0", "1", "2"]
            assert len(asked) == 3
            assert rig.allocator.free() == 8 - 3, "each grant was accounted for"

    asyncio.run(scene())


def test_a_server_without_the_script_is_asked_as_always(own_server: Server) -> None:
    async def scene() -> None:
        async with fetching(own_server.url) as rig:
            await rig.waits()
            await rig.broker.run(Plain(("SCRIPT", "FLUSH"), bytes))
            await rig.enqueue("a", "b")
            await until(lambda: rig.ids == ["a", "b"])

    asyncio.run(scene())


def test_a_server_that_is_gone_when_it_is_asked_is_asked_again(
    own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = ListWatch.ask
    cut = 0

    async def cut_off(self: ListWatch, data: bytes) -> Any:
        nonlocal cut
        with redis.Redis.from_url(own_server.url) as client:
            cut += client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        return await ask(self, data)

    monkeypatch.setattr(ListWatch, "ask", cut_off)

    async def scene() -> None:
        async with fetching(own_server.url) as rig:
            await rig.waits()
            await rig.enqueue("a", "b")
            await until(lambda: len(rig.taken) >= 2)
            await rig.waits()
            assert cut
            assert sorted(rig.ids) == ["a", "b"], "each once"

    asyncio.run(scene())


def test_a_lost_reply_where_it_waited_strands_nothing(
    own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = ListWatch.ask
    lost = 0

    async def lose(self: ListWatch, data: bytes) -> Any:
        nonlocal lost
        await ask(self, data)
        lost += 1
        raise BrokerUnavailable("the reply is lost")

    monkeypatch.setattr(ListWatch, "ask", lose)

    async def scene() -> None:
        async with fetching(own_server.url) as rig:
            await rig.waits()
            await rig.enqueue("a", "b")
            await until(lambda: len(rig.taken) >= 2)
            await rig.waits()
            assert lost == 1
            assert sorted(rig.ids) == ["a", "b"], "each once"

    asyncio.run(scene())


def test_a_reply_to_something_else_strands_nothing(
    own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = ListWatch.ask
    connections: list[Any] = []

    async def answer_something_else(self: ListWatch, data: bytes) -> Any:
        connections.append(self._connection)
        reply = await ask(self, data)
        return reply if len(connections) > 1 else [b"something else"]

    monkeypatch.setattr(ListWatch, "ask", answer_something_else)

    async def scene() -> None:
        async with fetching(own_server.url) as rig:
            for ids in (["a", "b"], ["c"]):
                await rig.waits()
                await rig.enqueue(*ids)
                await until(lambda last=ids[-1]: last in rig.ids)  # type: ignore[misc]
            assert sorted(rig.ids) == ["a", "b", "c"], "each once"
            assert rig.allocator.free() == 8 - 3, "each grant was accounted for"
            first, second = connections
            assert first is not second

    asyncio.run(scene())


@pytest.mark.parametrize("waiting", [False, True])
def test_a_stop_waits_for_the_fetch_that_is_under_way(
    own_server: Server, monkeypatch: pytest.MonkeyPatch, waiting: bool
) -> None:
    """Cut off in the middle, the server would hold for this worker what it does not know of, until the leases end."""
    sent = asyncio.Event()
    release = asyncio.Event()

    async def scene() -> None:
        async with fetching(own_server.url) as rig:
            await rig.waits()
            if not waiting:
                await rig.fetcher.stop()
            monkeypatch.setattr(ListWatch, "ask", held_back(ListWatch.ask))
            monkeypatch.setattr(AsyncBroker, "run", held_back(AsyncBroker.run))
            rig.broker.run = AsyncBroker(rig.broker.driver).run  # type: ignore[method-assign]
            await rig.enqueue("a")
            if not waiting:
                rig.fetcher.start()
            await sent.wait()
            assert rig.fetcher.is_unsure, "a burst does not end now"
            stop = asyncio.ensure_future(rig.fetcher.stop())
            await asyncio.sleep(0.05)
            assert not stop.done()
            assert rig.taken == []
            release.set()
            await stop
            assert rig.ids == ["a"]
            assert not rig.fetcher.is_unsure

    def held_back(ask: Callable[..., Coroutine[Any, Any, Any]]) -> Any:
        async def wrapped(*args: Any) -> Any:
            reply = await ask(*args)
            if getattr(args[1], "name", "dequeue") == "dequeue":
                sent.set()
                await release.wait()
            return reply

        return wrapped

    asyncio.run(scene())


def test_a_task_that_is_left_to_others_makes_no_crowd_of_one_worker(
    own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One task that nobody knew lay in the queue for others. Each wake-up found it and took nothing, which counted as a race
    that somebody else had won: a lone worker believed in a crowd, and its tasks came a second late, what was due four.
    """
    monkeypatch.setattr(dequeue_module, "UNKNOWN_GRACE", 2)

    async def scene() -> None:
        async with fetching(own_server.url) as rig:
            await rig.waits()
            await rig.fetcher.stop()
            await rig.enqueue("unknown")
            with redis.Redis.from_url(own_server.url) as client:
                client.hset("asynq:{q}:t:unknown", "unknown", 1)
                before = _scripts(client)
            rig.fetcher.start()
            backoff = rig.fetcher._backoff
            for number in range(5):
                await asyncio.sleep(0.1)
                await rig.enqueue(str(number))
                await until(lambda last=str(number): last in rig.ids)  # type: ignore[misc]
                assert "unknown" not in rig.ids
                assert backoff.share == 1
                assert backoff._losses == 0
            with redis.Redis.from_url(own_server.url) as client:
                assert _scripts(client) - before < 200, "it asks now and then, not all the time"
            await until(lambda: "unknown" in rig.ids)

    asyncio.run(scene())


def _scripts(client: redis.Redis) -> int:
    stats = client.info("commandstats")
    return sum(int(stats.get(name, {"calls": 0})["calls"]) for name in ("cmdstat_evalsha", "cmdstat_eval"))


def test_a_pause_is_no_race_that_somebody_else_has_won(own_server: Server) -> None:
    async def scene() -> None:
        async with fetching(own_server.url) as rig:
            await rig.waits()
            await rig.broker.run(Plain(("SET", "asynq:{q}:paused", "1"), bytes))
            await rig.enqueue("a")
            await asyncio.sleep(0.2)
            await rig.broker.run(
                Plain(("DEL", "asynq:{q}:t:a", "asynq:{q}:pending", "asynq:{q}:paused"), int)
            )
            await rig.waits()
            assert rig.fetcher._backoff._losses == 0

    asyncio.run(scene())


def test_a_loop_that_is_about_to_be_stopped_begins_nothing_and_complains_of_nothing(
    own_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Quieted just before a round, it said "unexpected CancelledError"."""

    async def scene() -> None:
        async with fetching(own_server.url) as rig:
            await rig.waits()
            rig.fetcher._ends = True
            await rig.enqueue("a")
            await until(lambda: rig.fetcher._resting)
            assert not rig.taken
            await rig.fetcher.stop()
            rig.fetcher.start()
            await until(lambda: rig.ids == ["a"])

    asyncio.run(scene())
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_worker_that_is_resumed_before_it_was_quite_quiet_takes_tasks(own_server: Server) -> None:
    """The loops that take were started again while they were still being stopped, and the stop ended them for good: a worker
    that had said "Taking tasks again", took nothing, and was green.
    """

    async def scene() -> None:
        async with fetching(own_server.url) as rig:
            await rig.fetcher.stop()
            takers = Takers(Errands())
            takers.add(rig.fetcher)  # which starts it
            await rig.waits()
            for number in range(3):
                takers.quiet()
                takers.resume()
                takers.quiet()
                takers.resume()
                await rig.enqueue(str(number))
                await until(lambda last=str(number): last in rig.ids)  # type: ignore[misc]
            takers.quiet()
            await until(lambda: not rig.fetcher.runs)

    asyncio.run(scene())


def test_a_worker_that_ends_while_its_server_is_away_ends_quietly(
    own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fetch that failed after its worker had given it up: "Task exception was never retrieved" in the log."""
    monkeypatch.setattr(fetcher_module, "STOP_SECONDS", 0.2)
    complaints: list[dict[str, Any]] = []

    async def scene() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        os.kill(own_server.process.pid, signal.SIGSTOP)
        async with fetching(own_server.url) as rig:
            await until(lambda: not rig.fetcher._answered.is_set())
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(scene())
    assert not complaints


class Full(Rig):
    """A queue with more tasks than go in one batch of eight, and room for many. Notes what is sent and what is given out."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.allocator = SlotAllocator({"q": 1}, strict=False, room=lambda: 64 - len(self.taken), most=8)
        self.fetcher._allocator = self.allocator
        self.steps: list[str] = []
        self.on_give: Callable[[], object] = lambda: None
        run, self.fails_at = self.broker.run, 0

        async def note(command: Any, *rest: Any) -> Any:
            if command.name != "dequeue":
                return await run(command, *rest)
            self.steps.append("asked")
            reply = await run(command, *rest)
            self.steps.append("answered")
            if self.steps.count("asked") == self.fails_at:
                raise BrokerUnavailable("the reply is lost")
            return reply

        self.broker.run = note  # type: ignore[method-assign]

    def _take(self, queue: str, tasks: list[Taken]) -> None:
        super()._take(queue, tasks)
        self.steps.append(f"gave {len(tasks)}")
        on_give, self.on_give = self.on_give, lambda: None
        on_give()


@asynccontextmanager
async def full(url: str, count: int = 20, fails_at: int = 0) -> AsyncIterator[Full]:
    rig = Full(url)
    rig.fails_at = fails_at
    await rig.enqueue(*(str(number) for number in range(count)))
    rig.fetcher.start()
    yield rig
    await rig.fetcher.stop()
    await rig.broker.close()


def test_the_next_dequeue_is_on_its_way_before_a_full_batch_is_given_out(own_server: Server) -> None:
    """The server works while the worker does. One that was not full is given out at once: there is nothing more."""

    async def scene() -> None:
        async with full(own_server.url) as rig:
            await until(lambda: len(rig.taken) == 20)
            assert rig.steps[:9] == [
                *("asked", "answered"),
                *("asked", "gave 8", "answered"),
                *("asked", "gave 8", "answered", "gave 4"),
            ]
            assert rig.ids == [str(number) for number in range(20)]
            assert rig.allocator.free() == 8, "each grant was accounted for"

    asyncio.run(scene())


def test_a_full_batch_is_given_out_though_the_dequeue_after_it_fails(own_server: Server) -> None:
    """Else its tasks would stay leased to a worker that does not know of them. What the lost reply has taken is taken up again,
    and what was known before is not.
    """

    async def scene() -> None:
        async with full(own_server.url, fails_at=2) as rig:
            await until(lambda: len(rig.taken) == 20)
            assert sorted(rig.ids, key=int) == [str(number) for number in range(20)], "each once"
            assert rig.steps[:4] == ["asked", "answered", "asked", "gave 8"]

    asyncio.run(scene())


def test_a_full_batch_is_given_out_though_the_loop_is_ended_before_the_next_is_sent(
    own_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """The watchdog ends a loop that stands still: here between the reply and the next call."""

    async def scene() -> None:
        async with full(own_server.url) as rig:
            run = rig.broker.run

            async def hang(command: Any, *rest: Any) -> Any:
                if command.name == "dequeue" and len(rest) == 2 and rest[1] is not None:
                    await asyncio.Event().wait()
                return await run(command, *rest)

            rig.broker.run = hang  # type: ignore[method-assign]
            await until(lambda: rig.steps == ["asked", "answered"])
            await asyncio.sleep(0)
            assert rig.taken == []
            rig.broker.run = run  # type: ignore[method-assign]
            await rig.fetcher.rebuild()
            await until(lambda: len(rig.taken) == 20)
            assert sorted(rig.ids, key=int) == [str(number) for number in range(20)], "each once"
            assert "taken up again" not in caplog.text, "nothing was lost"

    asyncio.run(scene())


def test_a_stop_asks_for_no_more_and_gives_out_what_was_on_its_way(own_server: Server) -> None:
    async def scene() -> None:
        async with full(own_server.url, 60) as rig:
            stops: list[asyncio.Task[None]] = []
            rig.on_give = lambda: stops.append(asyncio.create_task(rig.fetcher.stop()))
            await until(lambda: bool(stops) and stops[0].done())
            assert rig.steps == ["asked", "answered", "asked", "gave 8", "answered", "gave 8"]
            left = await rig.broker.run(Plain(("LLEN", "asynq:{q}:pending"), int))
            assert left == 60 - 16

    asyncio.run(scene())

"""Many callers at once, and many calls by one, on real servers: few round trips, and an outcome of its own for each call."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
import redis

from taskflow.client.bulk import LARGEST_BULK
from taskflow.errors import BrokerUnavailable, DuplicateTask, InvalidArguments, TaskFlowError, TaskIdConflict
from tests.chaos.policy import Fate, Policy
from tests.chaos.proxy import Proxy
from tests.conftest import Cluster
from tests.servers import Server, wait_until

from .together import tasks_of, waiting

CALLERS = 50


@pytest.fixture
def proxy(valkey: Server) -> Iterator[Callable[[Policy], Proxy]]:
    """A proxy in front of the one server."""
    started: list[Proxy] = []

    def start(policy: Policy) -> Proxy:
        proxy = Proxy(valkey.port, policy, random.Random(1))
        proxy.start()
        started.append(proxy)
        return proxy

    yield start
    for one in started:
        one.stop()


def at_once(count: int, call: Callable[[int], Any]) -> list[Any]:
    """What each of so many threads got, or the error that it got."""
    start = threading.Barrier(count)

    def one(number: int) -> Any:
        start.wait()
        try:
            return call(number)
        except TaskFlowError as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


class TestCallersAtOnce:
    def test_threads_each_get_their_own_handle(self, noop: Any) -> None:
        noop.delay(-1)
        handles = at_once(CALLERS, noop.delay)
        assert len({handle.id for handle in handles}) == CALLERS
        assert sorted(waiting(noop)) == list(range(-1, CALLERS))

    def test_coroutines_each_get_their_own_handle(self, noop: Any) -> None:
        async def main() -> list[Any]:
            await noop.adelay(-1)
            handles = await asyncio.gather(*(noop.adelay(number) for number in range(CALLERS)))
            await noop._backend.aclose()
            return handles

        handles = asyncio.run(main())
        assert len({handle.id for handle in handles}) == CALLERS
        assert waiting(noop) == list(range(-1, CALLERS)), (
            "and they wait in the order in which they were called"
        )

    def test_a_trip_is_shared(self, valkey: Server, queue: str, raw: redis.Redis) -> None:
        """While the server is busy with one call the others gather, and then go together."""
        app, noop = tasks_of(valkey.url, queue)
        noop.delay()
        before = _scripts_run(raw)
        with ThreadPoolExecutor(CALLERS) as pool:
            raw.execute_command("CLIENT", "PAUSE", 200, "ALL")
            futures = [pool.submit(noop.delay, number) for number in range(CALLERS)]
            for future in futures:
                future.result(10)
        # The one that found nobody under way, those in line, and perhaps one that came when they had just left.
        assert _scripts_run(raw) - before <= 4
        app.close()

    def test_each_error_goes_to_its_own_caller(self, noop: Any) -> None:
        noop.options(id="taken").delay()
        first = noop.options(unique=60).delay(1000)

        def call(number: int) -> Any:
            if number % 10 == 3:
                return noop.options(id="taken").delay(number)
            if number % 10 == 5:
                return noop.options(unique=60).delay(1000)
            return noop.delay(number)

        for number, outcome in enumerate(at_once(CALLERS, call)):
            if number % 10 == 3:
                assert isinstance(outcome, TaskIdConflict)
                assert outcome.task_id == "taken"
            elif number % 10 == 5:
                assert isinstance(outcome, DuplicateTask)
                assert outcome.holder == first.id
            else:
                assert not isinstance(outcome, Exception)

    def test_who_waits_for_a_replica_does_not_share_with_who_does_not(
        self, valkey: Server, queue: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app, noop = tasks_of(valkey.url, queue)
        driver = app.client.broker.driver
        trips: list[set[bool]] = []
        execute = driver.execute

        def watched(requests: Any, *rest: Any) -> Any:
            trips.append({request.durable for request in requests if request.name == "enqueue"})
            return execute(requests, *rest)

        noop.delay()
        monkeypatch.setattr(driver, "execute", watched)
        outcomes = at_once(CALLERS, lambda number: noop.options(durable=number % 2 == 0).delay(number))
        assert [outcome.durable for outcome in outcomes] == [False, None] * (CALLERS // 2)
        assert {True} in trips
        assert {False} in trips
        assert {True, False} not in trips
        app.close()

    @pytest.mark.parametrize("fate", [Fate.CLOSE, Fate.BEFORE, Fate.SILENT])
    def test_a_lost_reply_costs_nobody_a_task(
        self, proxy: Callable[[Policy], Proxy], valkey: Server, queue: str, fate: Fate
    ) -> None:
        """Every fourth script is not answered: what had run is found again, and counts once."""
        policy = Policy(random.Random(1), every=4, kinds=(fate,), only=["enqueue"])
        app, noop = tasks_of(f"redis://127.0.0.1:{proxy(policy).port}?socket_timeout=0.4", queue)
        noop.delay(-1)
        outcomes = at_once(CALLERS, lambda number: [noop.delay(CALLERS * number + n) for n in range(4)])
        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert policy.faults("enqueue") > 1
        app.close()
        _, direct = tasks_of(valkey.url, queue)
        expected = sorted([-1, *(CALLERS * number + n for number in range(CALLERS) for n in range(4))])
        assert sorted(waiting(direct)) == expected
        direct._backend.close()

    def test_a_caller_with_less_time_than_the_others_ends_in_its_own(self, own_server: Server) -> None:
        app, noop = tasks_of(own_server.url, "q")
        hasty = noop.options(enqueue_timeout=0.3)
        noop.delay(-1)
        with ThreadPoolExecutor(20) as pool:
            os.kill(own_server.process.pid, signal.SIGSTOP)
            calls = [pool.submit((hasty if number % 4 == 0 else noop).delay, number) for number in range(20)]
            ended, _ = wait(calls[::4], timeout=10)
            others_ended = [call for call in calls if call.done() and call not in ended]
            os.kill(own_server.process.pid, signal.SIGCONT)
        assert ended == set(calls[::4]), "while the server said nothing"
        assert not others_ended
        for number, call in enumerate(calls):
            if number % 4 == 0:
                error = call.exception()
                assert isinstance(error, BrokerUnavailable), number
                assert error.task_id
            else:
                assert call.exception() is None, number
        # The hasty ones may have been enqueued, as their errors say; all others are there once.
        there = waiting(noop)
        assert len(there) == len(set(there))
        assert {number for number in range(20) if number % 4} <= set(there)
        app.close()


class TestMap:
    def test_more_than_one_bulk_arrives_in_order(self, noop: Any) -> None:
        count = 2 * LARGEST_BULK + 77
        told: list[tuple[int, int | None]] = []
        outcomes = noop.map(
            ((number,) for number in range(count)), progress=lambda done, total: told.append((done, total))
        )
        outcomes.raise_for_errors()
        assert len({result.id for result in outcomes.results}) == count
        assert waiting(noop) == list(range(count))
        assert told == sorted(told, key=lambda pair: pair[0])
        assert told[-1] == (count, None)
        assert len(told) > 3

    def test_from_a_coroutine(self, noop: Any) -> None:
        count = LARGEST_BULK + 77
        told: list[tuple[int, int | None]] = []

        async def main() -> Any:
            outcomes = await noop.amap(
                [(number,) for number in range(count)], progress=lambda *at: told.append(at)
            )
            await noop._backend.aclose()
            return outcomes

        outcomes = asyncio.run(main())
        assert not outcomes.failed
        assert waiting(noop) == list(range(count))
        assert told[-1] == (count, count)

    def test_each_call_has_its_own_outcome(self, noop: Any) -> None:
        calls = [(1,), ("two",), (3,), {"nonsense": 4}, (5,), ("six",)]
        told: list[Any] = []
        outcomes = noop.map(calls, progress=lambda *at: told.append(at))
        assert [outcome.ok for outcome in outcomes] == [True, False, True, False, True, False]
        assert all(isinstance(outcome.error, InvalidArguments) for outcome in outcomes.failed)
        assert waiting(noop) == [1, 3, 5]
        assert told[-1] == (6, 6)
        again = noop.options(unique=60).map([(1,), (2,), (1,)])
        assert [type(outcome.error) for outcome in again] == [type(None), type(None), DuplicateTask]

    def test_what_the_calls_raise_comes_out_when_those_before_are_home(self, noop: Any) -> None:
        def calls() -> Iterator[tuple[int]]:
            yield from ((number,) for number in range(450))
            raise LookupError("no more files")

        with pytest.raises(LookupError, match="no more files"):
            noop.map(calls())
        assert waiting(noop) == list(range(450))
        noop.delay(450)  # its connection is as good as new
        assert waiting(noop)[-1] == 450

    def test_what_the_progress_raises_ends_it(self, noop: Any) -> None:
        def progress(done: int, total: int | None) -> None:
            raise LookupError("enough")

        with pytest.raises(LookupError, match="enough"):
            noop.map([(number,) for number in range(1000)], progress=progress)
        assert noop.delay(1)

    @pytest.mark.parametrize("fate", [Fate.CLOSE, Fate.BEFORE, Fate.SILENT])
    def test_a_lost_reply_costs_no_task_and_none_twice(
        self, proxy: Callable[[Policy], Proxy], valkey: Server, queue: str, fate: Fate
    ) -> None:
        policy = Policy(random.Random(1), probability=0.15, kinds=(fate,), only=["enqueue"])
        app, noop = tasks_of(f"redis://127.0.0.1:{proxy(policy).port}?socket_timeout=0.4", queue)
        count = 2 * LARGEST_BULK
        noop.map((number,) for number in range(count)).raise_for_errors()
        assert policy.faults("enqueue") > 1
        app.close()
        _, direct = tasks_of(valkey.url, queue)
        assert waiting(direct) == list(range(count))
        direct._backend.close()


def _scripts_run(raw: redis.Redis) -> int:
    return int(raw.info("commandstats")["cmdstat_evalsha"]["calls"])


def test_the_master_dies_in_the_middle(cluster: Cluster, queue: str) -> None:
    """Threads, coroutines and a map, all on the node that dies: each call has an outcome, and each that says so is there."""
    cluster.heal()
    app, noop = tasks_of(cluster.url, queue)
    noop.delay(-1)
    victim = cluster.master_of(queue)
    assert victim.pid is not None
    failed: list[Exception] = []
    handles: list[Any] = []
    stop = threading.Event()

    def produce(thread: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                handles.append(noop.options(durable=True).delay(thread * 100_000 + number))
            except TaskFlowError as error:
                failed.append(error)

    try:
        threads = [threading.Thread(target=produce, args=(thread,)) for thread in range(1, 9)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(handles) > 100, description="calls are on their way")
        os.kill(victim.pid, signal.SIGKILL)
        mapped = noop.options(durable=True).map((number,) for number in range(LARGEST_BULK))
        seen = len(handles)
        wait_until(lambda: len(handles) > seen + 100, description="calls are on their way again", timeout=40)
        stop.set()
        for thread in threads:
            thread.join(30)
        mapped.raise_for_errors()
        assert failed == []
        there = waiting(noop)
        assert len(there) == len(set(there)) == len(handles) + LARGEST_BULK + 1
    finally:
        stop.set()
        app.close()
        cluster.heal()

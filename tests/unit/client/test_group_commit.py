"""Group commit: who shares a trip with whom, and that nobody is left behind, whatever happens to the one who leads."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from taskflow.broker.commands.enqueue import BATCH, MOST_BYTES
from taskflow.client.async_group_commit import BUNCH, AsyncGroupCommit
from taskflow.client.commit_queue import PATIENCE, Caller
from taskflow.client.group_commit import GroupCommit
from taskflow.errors import BrokerUnavailable
from tests.servers import wait_until

NOBODY_KNOWS = "nobody knows"


class Road:
    """What trips are sent on: notes who goes together, and keeps them under way until it is opened."""

    def __init__(self) -> None:
        self.trips: list[tuple[list[Any], bool]] = []
        self.open = threading.Event()
        self.answers: Callable[[list[Any], bool], list[Any]] = lambda items, _: [
            f"{item} done" for item in items
        ]

    def send(self, key: Any, items: list[Any], timeout: float, resent: bool) -> list[Any]:
        self.trips.append((items, resent))
        self.open.wait(10)
        return self.answers(items, resent)

    async def asend(self, key: Any, items: list[Any], timeout: float, resent: bool) -> list[Any]:
        self.trips.append((items, resent))
        while not self.open.is_set():
            await asyncio.sleep(0.001)
        return self.answers(items, resent)


def undecided(value: Any) -> bool:
    return value == NOBODY_KNOWS


@pytest.fixture
def road() -> Road:
    return Road()


@pytest.fixture
def commit(road: Road) -> GroupCommit[Any, Any, Any]:
    return GroupCommit(road.send, undecided)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(64) as pool:
        yield pool


def in_queue(commit: GroupCommit[Any, Any, Any] | AsyncGroupCommit[Any, Any, Any], key: Any = "node") -> int:
    return len(commit._queue(key).waiting)


class TestThreads:
    @pytest.fixture
    def call(
        self, commit: GroupCommit[Any, Any, Any], threads: ThreadPoolExecutor
    ) -> Callable[..., Future[Any]]:
        """Submits an item in a thread of its own, and waits until it is in the queue (or under way)."""

        def call(item: Any, *, key: Any = "node", weight: int = 1, timeout: float = 10.0) -> Future[Any]:
            before = in_queue(commit, key)
            leads = commit._queue(key).leader is None
            future = threads.submit(commit.submit, key, item, weight, timeout)
            wait_until(
                lambda: commit._queue(key).leader is not None if leads else in_queue(commit, key) > before,
                description=f"{item} has come",
            )
            return future

        return call

    def test_one_alone_goes_at_once(self, commit: GroupCommit[Any, Any, Any], road: Road) -> None:
        road.open.set()
        assert [commit.submit("node", number, 1, 5) for number in range(3)] == ["0 done", "1 done", "2 done"]
        assert road.trips == [([0], False), ([1], False), ([2], False)]

    def test_those_who_come_during_a_trip_share_the_next(self, call: Any, road: Road) -> None:
        futures = [call(number) for number in range(20)]
        road.open.set()
        assert [future.result(5) for future in futures] == [f"{number} done" for number in range(20)]
        assert road.trips == [([0], False), (list(range(1, 20)), False)]

    def test_keys_do_not_share(self, call: Any, road: Road) -> None:
        futures = [call((key, number), key=key) for number in range(3) for key in ("a", "b")]
        road.open.set()
        for future in futures:
            future.result(5)
        assert all(len({key for key, _ in items}) == 1 for items, _ in road.trips)

    def test_a_trip_takes_so_many_and_so_many_bytes(self, call: Any, road: Road) -> None:
        first = call("first")
        large = [call(number, weight=MOST_BYTES // 2) for number in range(4)]
        road.open.set()
        for future in (first, *large):
            future.result(5)
        # The leader's own weight does not count: it goes in any case.
        assert [len(items) for items, _ in road.trips] == [1, 3, 1]

    def test_a_trip_takes_a_batch_at_most(self, commit: GroupCommit[Any, Any, Any]) -> None:
        queue = commit._queue("node")
        leader: Caller[Any, Any] = Caller("leader", 1, 0)
        queue.enter(leader)
        for number in range(BATCH + 50):
            queue.enter(Caller(number, 1, 0))
        assert len(queue.batch(leader)) == BATCH
        assert in_queue(commit) == 51

    def test_an_error_of_the_trip_leaves_the_followers_to_themselves(self, call: Any, road: Road) -> None:
        """Whoever is interrupted while it leads says nothing to the others: theirs may have been sent, so they send them
        again, as ones of which an earlier copy may have run.
        """

        def answers(items: list[Any], resent: bool) -> list[Any]:
            if len(items) > 1:
                raise KeyboardInterrupt
            return [f"{item} done" for item in items]

        road.answers = answers
        first, leader, *followers = [call(number) for number in range(5)]
        road.open.set()
        assert first.result(5) == "0 done"
        with pytest.raises(KeyboardInterrupt):
            leader.result(5)
        assert [future.result(5) for future in followers] == ["2 done", "3 done", "4 done"]
        assert road.trips[:2] == [([0], False), ([1, 2, 3, 4], False)]
        assert sorted(road.trips[2:]) == [([2], True), ([3], True), ([4], True)]

    def test_a_leader_with_little_time_does_not_give_up_for_others(self, call: Any, road: Road) -> None:
        def answers(items: list[Any], resent: bool) -> list[Any]:
            return [f"{item} done" if resent or len(items) == 1 else NOBODY_KNOWS for item in items]

        road.answers = answers
        first, leader, follower = call(0), call(1), call(2)
        road.open.set()
        assert (first.result(5), leader.result(5), follower.result(5)) == ("0 done", NOBODY_KNOWS, "2 done")
        assert road.trips[-1] == ([2], True)

    def test_the_own_deadline_holds_in_line(self, call: Any, road: Road) -> None:
        began = time.monotonic()
        first = call(0)
        late = call(1, timeout=PATIENCE / 2)
        with pytest.raises(BrokerUnavailable):
            late.result(5)
        assert time.monotonic() - began < 5
        road.open.set()
        first.result(5)
        assert road.trips == [([0], False)], "what was given up in the queue was not sent"

    def test_the_own_deadline_holds_under_way(self, call: Any, commit: GroupCommit[Any, Any, Any]) -> None:
        queue = commit._queue("node")
        leader: Caller[Any, Any] = Caller("leader", 1, 0)
        assert queue.enter(leader)
        follower = call("follower", timeout=PATIENCE * 0.8)
        assert len(queue.batch(leader)) == 2
        with pytest.raises(BrokerUnavailable):
            follower.result(5)
        assert queue.leave(leader) is None

    def test_who_waits_too_long_goes_beside_the_trip(self, call: Any, road: Road) -> None:
        """A lost reply stops its own trip for seconds; the others do not wait for it."""
        first = call(0)
        futures = [call(number) for number in (1, 2)]
        wait_until(
            lambda: {item for items, _ in road.trips for item in items} == {0, 1, 2},
            description="the others are under way beside the first",
        )
        assert not first.done()
        road.open.set()
        assert [future.result(5) for future in (first, *futures)] == ["0 done", "1 done", "2 done"]

    def test_a_leader_that_is_gone_without_a_word_stops_nobody(
        self, commit: GroupCommit[Any, Any, Any], road: Road
    ) -> None:
        commit._queue("node").enter(Caller("gone", 1, 0))
        road.open.set()
        assert commit.submit("node", 1, 1, 5) == "1 done"
        assert commit.submit("node", 2, 1, 5) == "2 done"

    def test_who_is_interrupted_in_line_takes_itself_out(
        self, commit: GroupCommit[Any, Any, Any], call: Any, road: Road
    ) -> None:
        class Stop(BaseException):
            pass

        caught: list[BaseException] = []

        def interrupted() -> None:
            try:
                commit.submit("node", "interrupted", 1, 10)
            except Stop as error:
                caught.append(error)

        first = call(0)
        thread = threading.Thread(target=interrupted)
        thread.start()
        wait_until(lambda: in_queue(commit) == 1, description="it is in the queue")
        raise_in = ctypes.pythonapi["PyThreadState_SetAsyncExc"]  # not the one that taskflow has given types
        raise_in(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Stop))
        thread.join(5)
        assert len(caught) == 1
        # Either before it lost its patience, or after, when it led a trip of its own: nobody waits behind it.
        road.open.set()
        assert first.result(5) == "0 done"
        assert commit.submit("node", "next", 1, 5) == "next done"
        assert in_queue(commit) == 0

    def test_who_is_not_woken_finds_out_by_itself(
        self, commit: GroupCommit[Any, Any, Any], call: Any, road: Road
    ) -> None:
        """Each wakes the next; one of them may be gone without a word."""
        futures = [call(number) for number in range(4)]
        gone = commit._queue("node").waiting[1]

        class Deaf:
            def release(self) -> None: ...

        real, gone.turn = gone.turn, Deaf()  # its thread waits on the real one
        road.open.set()
        assert [future.result(5) for future in futures] == [f"{number} done" for number in range(4)]
        assert real.locked()
        assert real not in commit._turns, "it may be released at any moment, and is nobody's to wait on"

    def test_who_is_to_lead_and_is_not_woken_finds_out_by_itself(
        self, commit: GroupCommit[Any, Any, Any], call: Any, road: Road
    ) -> None:
        """Whoever was to wake it was ended from outside, between handing on and waking. It waited until its time was over, and
        everybody who came later waited for it.
        """
        first, second, third = call(0), call(1), call(2)
        queue = commit._queue("node")

        class Deaf:
            def release(self) -> None: ...

        leads = queue.waiting[0]
        real, leads.turn = leads.turn, Deaf()  # its thread waits on the real one
        road.open.set()
        assert [future.result(5) for future in (first, second, third)] == ["0 done", "1 done", "2 done"]
        assert real.locked()

    def test_those_who_come_next_wait_on_the_same_locks(
        self, commit: GroupCommit[Any, Any, Any], call: Any, road: Road
    ) -> None:
        for number in range(3):
            futures = [call((number, each)) for each in range(4)]
            turns = [caller.turn for caller in commit._queue("node").waiting]
            road.open.set()
            assert all(future.result(5) for future in futures)
            road.open.clear()
            if number:
                assert set(map(id, turns)) == set(map(id, commit._turns))
        assert len(commit._turns) == 3
        assert all(turn.locked() for turn in commit._turns)

    def test_one_that_is_interrupted_leaves_no_lock_to_others(
        self, commit: GroupCommit[Any, Any, Any], call: Any, road: Road
    ) -> None:
        """Whoever was to wake it may still do so."""
        first = call(0)
        late = call(1, timeout=PATIENCE / 2)
        with pytest.raises(BrokerUnavailable):
            late.result(5)
        assert commit._turns == []
        road.open.set()
        first.result(5)

    def test_one_that_has_gone_is_left_out_of_the_chain(self, commit: GroupCommit[Any, Any, Any]) -> None:
        queue = commit._queue("node")
        callers = [Caller[Any, Any](number, 1, 0) for number in range(4)]
        for caller in callers:
            queue.enter(caller)
            caller.turn = threading.Lock()
            caller.turn.acquire()

        def send(key: Any, items: Any, timeout: float, resent: bool) -> list[str]:
            queue.abandon(callers[2])  # it is interrupted while its item is under way
            return [f"{item} done" for item in items]

        commit._send = send
        assert commit._lead("node", queue, callers[0]) == "0 done"
        assert not callers[1].turn.locked()
        assert callers[1].wakes is callers[3]
        assert callers[2].turn.locked()

    def test_a_leader_that_has_left_hands_on(self, commit: GroupCommit[Any, Any, Any]) -> None:
        queue = commit._queue("node")
        first, second, third = (Caller[Any, Any](number, 1, 0) for number in range(3))
        assert [queue.enter(caller) for caller in (first, second, third)] == [True, False, False]
        assert queue.leave(first) is second
        assert queue.abandon(second) is third
        assert queue.abandon(third) is None
        assert queue.enter(first)

    def test_a_forked_child_has_an_empty_queue(
        self, call: Any, road: Road, commit: GroupCommit[Any, Any, Any]
    ) -> None:
        """As gunicorn forks while a thread of the parent is under way: that thread is not in the child."""
        first, second = call(0), call(1)
        commit._mutex.acquire()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside threads
            child = os.fork()
        if child == 0:
            signal.alarm(10)
            road.open.set()
            os._exit(0 if commit.submit("node", "child", 1, 2) == "child done" else 1)
        commit._mutex.release()
        road.open.set()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert [first.result(5), second.result(5)] == ["0 done", "1 done"]

    def test_many_threads_each_get_their_own(self, threads: ThreadPoolExecutor) -> None:
        road = Road()
        road.open.set()
        commit: GroupCommit[Any, Any, Any] = GroupCommit(road.send, undecided)

        def many(thread: int) -> None:
            for number in range(200):
                assert commit.submit("node", (thread, number), 1, 10) == f"{(thread, number)} done"

        for future in [threads.submit(many, thread) for thread in range(32)]:
            future.result(30)
        assert sum(len(items) for items, _ in road.trips) == 32 * 200
        assert not any(resent for _, resent in road.trips)


class TestCoroutines:
    @pytest.fixture
    def commit(self, road: Road) -> AsyncGroupCommit[Any, Any, Any]:
        return AsyncGroupCommit(road.asend, undecided)

    @staticmethod
    async def calls(
        commit: AsyncGroupCommit[Any, Any, Any], count: int, timeout: float = 10
    ) -> list[asyncio.Task[Any]]:
        tasks = [asyncio.create_task(commit.submit("node", number, 1, timeout)) for number in range(count)]
        await asyncio.sleep(0)
        return tasks

    def test_those_who_come_during_a_trip_share_the_next(
        self, commit: AsyncGroupCommit[Any, Any, Any], road: Road
    ) -> None:
        async def main() -> None:
            tasks = await self.calls(commit, 20)
            road.open.set()
            assert await asyncio.gather(*tasks) == [f"{number} done" for number in range(20)]
            assert road.trips == [([0], False), (list(range(1, 20)), False)]

        asyncio.run(main())

    def test_half_of_a_long_line_goes_while_the_others_are_made(
        self, commit: AsyncGroupCommit[Any, Any, Any], road: Road
    ) -> None:
        async def main() -> None:
            tasks = await self.calls(commit, 101)
            road.open.set()
            assert await asyncio.gather(*tasks) == [f"{number} done" for number in range(101)]
            assert [len(items) for items, _ in road.trips] == [1, 50, BUNCH, 18]
            assert [item for items, _ in road.trips for item in items] == list(range(101))

        asyncio.run(main())

    def test_a_leader_that_is_cancelled_strands_nobody(
        self, commit: AsyncGroupCommit[Any, Any, Any], road: Road
    ) -> None:
        async def main() -> None:
            tasks = await self.calls(commit, 3)
            tasks[0].cancel()
            await asyncio.sleep(0.01)
            assert road.trips == [([0], False), ([1, 2], False)]
            tasks[1].cancel()
            road.open.set()
            assert await tasks[2] == "2 done"
            assert road.trips[2:] == [([2], True)]
            assert tasks[0].cancelled()
            assert tasks[1].cancelled()

        asyncio.run(main())

    def test_followers_that_are_cancelled_are_not_sent(
        self, commit: AsyncGroupCommit[Any, Any, Any], road: Road
    ) -> None:
        async def main() -> None:
            tasks = await self.calls(commit, 4)
            tasks[2].cancel()
            await asyncio.sleep(0)
            road.open.set()
            assert await asyncio.gather(tasks[0], tasks[1], tasks[3]) == ["0 done", "1 done", "3 done"]
            assert road.trips == [([0], False), ([1, 3], False)]

        asyncio.run(main())

    def test_one_that_is_cancelled_the_moment_it_is_to_lead_hands_on(
        self, commit: AsyncGroupCommit[Any, Any, Any], road: Road
    ) -> None:
        async def main() -> None:
            tasks = await self.calls(commit, 3)
            queue = commit._queue("node")
            leader = queue.leader
            assert leader is not None
            successor = queue.leave(leader)
            assert successor is not None
            successor.turn.set_result(None)
            tasks[1].cancel()
            road.open.set()
            assert await asyncio.gather(tasks[0], tasks[2]) == ["0 done", "2 done"]
            assert await commit.submit("node", 9, 1, 5) == "9 done"

        asyncio.run(main())

    def test_who_waits_too_long_goes_beside_the_trip(
        self, commit: AsyncGroupCommit[Any, Any, Any], road: Road
    ) -> None:
        async def main() -> None:
            tasks = await self.calls(commit, 3)
            async with asyncio.timeout(5):
                while {item for items, _ in road.trips for item in items} != {0, 1, 2}:
                    await asyncio.sleep(0.01)
            assert not tasks[0].done()
            road.open.set()
            assert await asyncio.gather(*tasks) == ["0 done", "1 done", "2 done"]

        asyncio.run(main())

    def test_the_own_deadline_holds(self, commit: AsyncGroupCommit[Any, Any, Any], road: Road) -> None:
        async def main() -> None:
            first = (await self.calls(commit, 1))[0]
            with pytest.raises(BrokerUnavailable):
                await commit.submit("node", "late", 1, PATIENCE / 2)
            road.open.set()
            assert await first == "0 done"
            assert road.trips == [([0], False)]

        asyncio.run(main())

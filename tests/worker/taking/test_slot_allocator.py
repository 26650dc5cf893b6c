"""Slots are shared by weight, whatever the order in which they come free."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from taskflow.worker.taking import slot_allocator
from taskflow.worker.taking.slot_allocator import CLAIM_SECONDS, SlotAllocator


class Rig:
    """Queues that always have tasks, and slots that come free one by one."""

    def __init__(self, weights: dict[str, int], *, strict: bool = False, room: int = 0) -> None:
        self.room = room
        self.allocator = SlotAllocator(weights, strict=strict, room=lambda: self.room, most=100)
        self.taken: Counter[str] = Counter()

    async def fetch(self, name: str, tasks: int = 10**9, round_trip: float = 0.0) -> None:
        left = tasks
        while left:
            count = await self.allocator.grant(name)
            await asyncio.sleep(round_trip)
            used = min(count, left)
            left -= used
            self.room -= used
            self.taken[name] += used
            self.allocator.account(name, count, used, more=used == count)

    async def free(self, slots: int, times: int, pause: float = 0.0) -> None:
        for _ in range(times):
            self.room += slots
            self.allocator.pump()
            await asyncio.sleep(pause)
            while self.room:
                await asyncio.sleep(pause)


async def _saturate(
    rig: Rig, names: list[str], slots: int, times: int, round_trip: float, pause: float
) -> None:
    fetchers = [asyncio.create_task(rig.fetch(name, round_trip=round_trip)) for name in names]
    await asyncio.sleep(0)
    await rig.free(slots, times, pause)
    for fetcher in fetchers:
        fetcher.cancel()
    await asyncio.gather(*fetchers, return_exceptions=True)


@pytest.mark.parametrize("slots", [1, 7, 60])
@pytest.mark.parametrize("round_trip", [0.0, 0.002])
def test_two_saturated_queues_share_nine_to_one(slots: int, round_trip: float) -> None:
    rig = Rig({"much": 9, "little": 1})
    asyncio.run(_saturate(rig, ["much", "little"], slots, 400, round_trip, round_trip / 2))
    share = rig.taken["much"] / rig.taken.total()
    assert share == pytest.approx(0.9, abs=0.05)


def test_an_idle_queue_leaves_its_share_to_the_others() -> None:
    rig = Rig({"busy": 1, "idle": 99})
    asyncio.run(_saturate(rig, ["busy"], 3, 50, 0.0, 0.0))
    assert rig.taken["busy"] == 150


def test_strict_order_leaves_nothing_to_the_lighter_while_the_weightier_has_tasks() -> None:
    rig = Rig({"low": 1, "high": 2}, strict=True)
    asyncio.run(_saturate(rig, ["low", "high"], 1, 100, 0.0, 0.0))
    assert rig.taken == {"high": 100}


def test_a_fetch_that_hangs_does_not_keep_slots_from_the_others() -> None:
    async def scene() -> None:
        rig = Rig({"dead": 5, "alive": 1}, room=10)
        assert await rig.allocator.grant("dead") == 10  # and its node never answers
        assert await asyncio.wait_for(rig.allocator.grant("alive"), 2) == 10

    asyncio.run(scene())


def test_what_a_cancelled_fetcher_was_granted_is_free_again() -> None:
    async def scene() -> None:
        rig = Rig({"a": 1, "b": 1}, room=0)
        waiting = asyncio.create_task(rig.allocator.grant("a"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        rig.room = 4
        assert await asyncio.wait_for(rig.allocator.grant("b"), 1) == 4

    asyncio.run(scene())


def _spread(rig: Rig, queue: str, parts: list[str]) -> None:
    for part in parts:
        rig.allocator.add(part, queue)


@pytest.mark.parametrize("slots", [1, 7, 60])
@pytest.mark.parametrize("round_trip", [0.0, 0.002])
def test_a_queue_gets_the_same_share_over_however_many_partitions(slots: int, round_trip: float) -> None:
    rig = Rig({"much": 3, "little": 1})
    parts = ["much", "much~1", "much~2", "much~3"]
    _spread(rig, "much", parts)
    asyncio.run(_saturate(rig, [*parts, "little"], slots, 400, round_trip, round_trip / 2))
    assert rig.taken["little"] / rig.taken.total() == pytest.approx(0.25, abs=0.06)
    for part in parts:
        assert rig.taken[part] / rig.taken.total() == pytest.approx(0.75 / 4, abs=0.06)


def test_a_partition_that_has_tasks_gets_the_whole_share_of_its_queue() -> None:
    rig = Rig({"much": 3, "little": 1})
    _spread(rig, "much", ["much~1", "much~2"])
    asyncio.run(_saturate(rig, ["much~2", "little"], 1, 400, 0.0, 0.0))
    assert rig.taken["much~2"] / rig.taken.total() == pytest.approx(0.75, abs=0.05)


def test_partitions_of_one_queue_take_turns_in_strict_order_too() -> None:
    rig = Rig({"low": 1, "high": 2}, strict=True)
    _spread(rig, "high", ["high~1", "high~2"])
    asyncio.run(_saturate(rig, ["low", "high", "high~1", "high~2"], 1, 99, 0.0, 0.0))
    assert rig.taken == {"high": 33, "high~1": 33, "high~2": 33}


def test_a_partition_may_go_while_its_fetch_is_under_way() -> None:
    async def scene() -> None:
        rig = Rig({"a": 1}, room=4)
        _spread(rig, "a", ["a~1"])
        assert await rig.allocator.grant("a~1") == 4
        rig.allocator.remove("a~1")
        rig.allocator.account("a~1", 4, 0, more=False)
        assert await asyncio.wait_for(rig.allocator.grant("a"), 1) == 4

    asyncio.run(scene())


def test_slots_are_granted_at_once_only_where_nobody_is_to_be_weighed() -> None:
    async def scene() -> None:
        room = 10
        allocator = SlotAllocator({"a": 1, "b": 1}, strict=False, room=lambda: room, most=8)
        assert allocator.free() == 8
        assert not allocator.grant_at_once("a", 0)
        assert not allocator.grant_at_once("a", 11)
        assert allocator.grant_at_once("a", 8)
        assert allocator.free() == 2, "what is granted is kept"
        assert not allocator.grant_at_once("b", 3)
        allocator.account("a", 8, 8, more=True)
        room = 2
        assert not allocator.grant_at_once("b", 1), "the busy queue will be back in a moment"
        async with asyncio.timeout(10):
            while not allocator.grant_at_once("b", 1):
                await asyncio.sleep(CLAIM_SECONDS)
        allocator.account("b", 1, 0, more=False)
        room = 0
        waiting = asyncio.ensure_future(allocator.grant("a"))
        await asyncio.sleep(0)
        room = 1
        assert not allocator.grant_at_once("b", 1), "the other queue has asked first"
        allocator.pump()
        assert await waiting == 1

    asyncio.run(scene())


def test_in_strict_order_nothing_is_granted_at_once_but_to_a_lone_queue() -> None:
    async def scene() -> None:
        two = SlotAllocator({"a": 2, "b": 1}, strict=True, room=lambda: 5, most=8)
        assert not two.grant_at_once("a", 1)
        lone = SlotAllocator({"a": 1}, strict=True, room=lambda: 5, most=8)
        assert lone.grant_at_once("a", 5)

    asyncio.run(scene())


def test_what_is_granted_at_once_counts_for_the_shares() -> None:
    async def scene() -> None:
        allocator = SlotAllocator({"a": 1, "b": 1}, strict=False, room=lambda: 10, most=10)
        assert allocator.grant_at_once("a", 10)
        allocator.account("a", 10, 10, more=False)
        a, b = (asyncio.ensure_future(allocator.grant(name)) for name in "ab")
        assert await b == 10, "it is ten tasks behind"
        a.cancel()

    asyncio.run(scene())


def test_a_worker_that_stood_still_does_not_take_that_for_the_silence_of_a_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a busy machine strict order was not kept: the answer was there, and the next queue had its turn before it was read."""
    monkeypatch.setattr(slot_allocator, "STRICT_CLAIM_SECONDS", 0.3)

    async def scene() -> None:
        rig = Rig({"high": 2, "low": 1}, strict=True, room=1)
        assert await rig.allocator.grant("high") == 1
        low = asyncio.ensure_future(rig.allocator.grant("low"))
        await asyncio.sleep(0)
        time.sleep(0.4)
        for _ in range(5):
            await asyncio.sleep(0)
        rig.allocator.pump()
        assert not low.done()
        rig.allocator.account("high", 1, 0, more=False)
        assert await asyncio.wait_for(low, 5) == 1

    asyncio.run(scene())


class Taking:
    """Two queues of which one fetches, room for its tasks, and verdicts that are not written."""

    def __init__(self, room: int, *, strict: bool = False, unwritten: int = 0) -> None:
        self.room = room
        self.allocator = SlotAllocator(
            {"a": 1, "b": 1}, strict=strict, room=lambda: self.room, most=100, unwritten=lambda: unwritten
        )

    async def fetch(self, count: int) -> None:
        """A fetch of `a` is answered: it has filled its slots."""
        assert await self.allocator.grant("a") >= count


def test_a_fetch_may_follow_before_the_one_before_is_given_out_as_far_as_there_is_room_beside_it() -> None:
    async def scene() -> None:
        taking = Taking(250)
        await taking.fetch(100)
        assert taking.allocator.follow("a", 100) == 100
        assert taking.allocator.free() == 50, "both are claimed"
        taking.room -= 100
        taking.allocator.given("a", 100)
        assert taking.allocator.free() == 50, "the first takes room by itself now"
        taking.room -= 100
        taking.allocator.account("a", 100, 100, more=True)
        assert taking.allocator.free() == 50

    asyncio.run(scene())


@pytest.mark.parametrize("unwritten", [0, 51])
def test_nothing_follows_where_there_is_less_room_than_was_taken(unwritten: int) -> None:
    """It would be the first of many small batches. What waits for its verdict to be written is room, too."""

    async def scene() -> None:
        taking = Taking(250 if unwritten else 199, unwritten=unwritten)
        await taking.fetch(100)
        assert taking.allocator.follow("a", 100) == 0

    asyncio.run(scene())


@pytest.mark.parametrize("strict", [False, True])
def test_nothing_follows_where_another_queue_has_to_be_weighed(strict: bool) -> None:
    """It would get no slot for as long as the other has tasks."""

    async def scene() -> None:
        taking = Taking(100, strict=strict)
        await taking.fetch(100)
        other = asyncio.create_task(taking.allocator.grant("b"))
        await asyncio.sleep(0)
        taking.room = 1000
        assert taking.allocator.follow("a", 100) == 0
        taking.allocator.account("a", 100, 100, more=True)
        assert await other > 0

    asyncio.run(scene())


def test_a_node_that_does_not_answer_keeps_the_slots_from_others_for_a_moment_only() -> None:
    async def scene() -> None:
        rig = Rig({"silent": 1, "other": 1}, room=4)
        assert await rig.allocator.grant("silent") == 4
        assert await asyncio.wait_for(rig.allocator.grant("other"), 5) == 4

    asyncio.run(scene())


@pytest.mark.parametrize("strict", [True, False])
def test_slots_that_come_free_just_after_a_grant_are_kept_for_the_busy_queue(strict: bool) -> None:
    """Until its fetcher ran again, the queue counted as neither asking nor busy, and all that came free went to the other one."""

    async def scene() -> None:
        rig = Rig({"high": 1000, "low": 1}, strict=strict, room=1)
        for name in ("low", "high"):
            assert await rig.allocator.grant(name) == 1
            rig.allocator.account(name, 1, 1, more=True)
        rig.room = 0
        high, low = (asyncio.ensure_future(rig.allocator.grant(name)) for name in ("high", "low"))
        await asyncio.sleep(0)
        rig.room = 1
        rig.allocator.pump()
        rig.room = 5
        rig.allocator.pump()
        assert await high == 1
        assert not low.done()
        low.cancel()

    asyncio.run(scene())


def test_what_follows_is_claimed_also_when_the_fetch_before_took_long() -> None:
    """A grant is a claim for a moment only: what a slow fetch has brought would be forgotten, and too much taken."""

    async def scene() -> None:
        taking = Taking(199)
        await taking.fetch(100)
        taking.allocator._parts["a"].claim = None
        assert taking.allocator.follow("a", 100) == 0
        taking.room = 250
        assert taking.allocator.follow("a", 100) == 100
        assert taking.allocator.free() == 50

    asyncio.run(scene())


def test_a_partition_that_is_gone_is_followed_by_nothing() -> None:
    async def scene() -> None:
        taking = Taking(250)
        await taking.fetch(100)
        taking.allocator.remove("a")
        assert taking.allocator.follow("a", 100) == 0
        taking.allocator.given("a", 100)

    asyncio.run(scene())

"""What becomes known in the worker process and is listened to in a child: kept until there is one, told once, in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from taskflow.pipe import frames
from taskflow.telemetry.events import ChildStarted, Event, Expired, LeaseLost, Poisonous, Quarantined, emit
from taskflow.telemetry.telling import Audience
from taskflow.worker.relay import MOST, Relay
from tests.listening import kinds


class Child:
    """As much of a child as is told something."""

    def __init__(self, *, closed: bool = False, quarantined: bool = False) -> None:
        self.closed = closed
        self.quarantined = quarantined
        self.sent: list[Any] = []

    def send(self, value: Any) -> None:
        self.sent.append(frames.decode_from_worker(frames.frame(value)[frames.LENGTH :]))


def hello(*hears: str) -> frames.Hello:
    return frames.Hello("app", "redis://127.0.0.1:1", [], 1, hears=list(hears))


@pytest.fixture
def relayed() -> Callable[[Callable[[Relay, list[Any]], Awaitable[None]]], None]:
    """Runs a story with a relay on an event loop; afterwards nobody listens any more."""

    def run(story: Callable[[Relay, list[Any]], Awaitable[None]]) -> None:
        before = heard()

        async def main() -> None:
            children: list[Any] = []
            relay = Relay(children)
            try:
                await story(relay, children)
            finally:
                relay.close()

        asyncio.run(main())
        assert heard() == before

    return run


def heard() -> dict[type[Event], tuple[Any, ...]]:
    """Who listens to what; other tests of this process may have left somebody."""
    return {kind: kind.heard for kind in kinds()}


def test_what_comes_at_once_is_told_in_one_frame_to_one_child_that_serves(relayed: Any) -> None:
    async def story(relay: Relay, children: list[Any]) -> None:
        relay.learn(hello("LeaseLost", "Quarantined"))
        children += [Child(closed=True), Child(quarantined=True), Child(), Child()]
        for number in range(3):
            emit(LeaseLost("works", f"t{number}", "q", 0))
        emit(Quarantined((("t1", "q", 2),)))
        await asyncio.sleep(0)
        assert [len(child.sent) for child in children] == [0, 0, 1, 0]
        [told] = children[2].sent
        assert [name for name, _ in told.items] == ["LeaseLost"] * 3 + ["Quarantined"]
        assert told.items[0][1] == {"task": "works", "id": "t0", "queue": "q", "retried": 0}

    relayed(story)


def test_what_nobody_in_the_app_listens_to_is_not_even_made(relayed: Any) -> None:
    async def story(relay: Relay, children: list[Any]) -> None:
        before = heard()
        relay.learn(hello())
        assert heard() == before
        relay.learn(hello("LeaseLost"))
        assert Poisonous.heard == before[Poisonous]
        assert LeaseLost.heard != before[LeaseLost]

    relayed(story)


def test_while_there_is_no_child_it_waits_for_one_and_the_oldest_are_left_out(relayed: Any) -> None:
    """The child that has crashed was the only one, and this is what is to be told."""

    async def story(relay: Relay, children: list[Any]) -> None:
        relay.learn(hello("Poisonous"))
        for number in range(MOST + 5):
            emit(Poisonous("dies", f"t{number}", "q", 0, crashes=3))
        await asyncio.sleep(0)
        children.append(Child())
        emit(ChildStarted(7))
        await asyncio.sleep(0)
        [told] = children[0].sent
        assert len(told.items) == MOST
        assert told.items[-1][1]["id"] == f"t{MOST + 4}"

    relayed(story)


def test_what_a_child_of_the_same_process_tells_is_not_told_it_again(relayed: Any) -> None:
    """With `-P solo` both are one process: an expired task is told by whichever of them has noticed."""

    async def story(relay: Relay, children: list[Any]) -> None:
        relay.learn(hello("Expired"))
        children.append(Child())
        emit(Expired("works", "t1", "q", 0), Audience())
        await asyncio.sleep(0)
        assert children[0].sent == []
        emit(Expired("works", "t2", "q", 0))
        await asyncio.sleep(0)
        assert len(children[0].sent) == 1

    relayed(story)

"""The queue of a group commit by itself: who leads, who is answered, who waits on. Threads and coroutines only wait and wake."""

from __future__ import annotations

import time
from typing import Any

import pytest

from taskflow.client.commit_queue import (
    ANSWERED,
    GONE,
    LEADS,
    UNDER_WAY,
    WAITING,
    Caller,
    CommitQueue,
    CommitQueues,
)
from taskflow.errors import BrokerUnavailable


def queue_of(count: int) -> tuple[CommitQueue[int, str], list[Caller[int, str]]]:
    """So many callers, of whom the first leads."""
    queue: CommitQueue[int, str] = CommitQueue(float("inf"))
    callers: list[Caller[int, str]] = [Caller(number, 1, time.monotonic() + 60) for number in range(count)]
    for caller in callers:
        queue.enter(caller)
    return queue, callers


def in_turn(caller: Caller[int, str] | None) -> list[Caller[int, str]]:
    """Those who wake one another."""
    found = []
    while caller is not None:
        found.append(caller)
        caller = caller.wakes
    return found


def test_the_end_of_a_trip_answers_who_was_on_it_and_hands_on_to_who_came_later() -> None:
    queue, callers = queue_of(3)
    batch = queue.batch(callers[0])
    later: Caller[int, str] = Caller(3, 1, 0)
    queue.enter(later)

    assert queue.end(batch, ["a", "b", "c"]) == (later, callers[1])
    assert in_turn(callers[1]) == callers[1:]
    assert [(caller.state, caller.value) for caller in callers[1:]] == [(ANSWERED, "b"), (ANSWERED, "c")]
    assert (queue.leader, later.state) == (later, LEADS)


def test_a_leader_that_was_interrupted_answers_nobody_and_strands_nobody() -> None:
    """Nobody knows what became of their items: each sends its own again."""
    queue, callers = queue_of(3)

    successor, first = queue.end(queue.batch(callers[0]), None)

    assert (successor, in_turn(first)) == (None, callers[1:])
    assert [(caller.state, caller.value) for caller in callers[1:]] == [(ANSWERED, None)] * 2


def test_one_that_has_gone_is_not_answered() -> None:
    queue, callers = queue_of(3)
    batch = queue.batch(callers[0])
    queue.abandon(callers[1])

    assert queue.end(batch, ["a", "b", "c"]) == (None, callers[2])
    assert (callers[1].state, callers[1].value) == (GONE, None)


def test_a_leader_that_was_overtaken_answers_its_own_and_hands_nothing_on() -> None:
    queue, callers = queue_of(2)
    batch = queue.batch(callers[0])
    other: Caller[int, str] = Caller(2, 1, 0)
    queue.enter(other)
    assert queue.overtake(other)

    assert queue.end(batch, ["a", "b"]) == (None, callers[1])
    assert queue.leader is other


@pytest.fixture
def queues() -> CommitQueues[str, int, str]:
    return CommitQueues(lambda value: False)


@pytest.mark.parametrize("state", [LEADS, ANSWERED])
def test_who_leads_or_is_answered_does_not_wait_on(queues: Any, state: str) -> None:
    """Also when its time is over: the answer is there."""
    queue, callers = queue_of(2)
    callers[1].state, callers[1].deadline = state, 0.0
    assert not queues._waits_on(queue, callers[1])


def test_who_loses_its_patience_in_the_queue_goes_beside_the_trip(queues: Any) -> None:
    queue, callers = queue_of(2)
    assert callers[1].state == WAITING
    assert not queues._waits_on(queue, callers[1])
    assert (callers[1].state, queue.leader) == (LEADS, callers[1])


def test_who_is_under_way_waits_on_until_its_time_is_over(queues: Any) -> None:
    """Its item has been sent: sending it once more would bring nothing sooner."""
    queue, callers = queue_of(2)
    queue.batch(callers[0])
    assert queues._waits_on(queue, callers[1])
    assert callers[1].state == UNDER_WAY
    callers[1].deadline = 0.0
    with pytest.raises(BrokerUnavailable):
        queues._waits_on(queue, callers[1])

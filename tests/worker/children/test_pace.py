"""How far ahead of its free slots a child is given tasks: by the pace at which they end, whatever bursts they end in."""

from __future__ import annotations

import pytest

from taskflow.worker.children.pace import AHEAD_SECONDS, QUICK_SECONDS, Pace


def pace_of(bursts: list[tuple[float, int]], seconds: float = 0.001) -> Pace:
    """That of a child whose outcomes came so: seconds since those before, and how many."""
    now = 100.0
    pace = Pace(now)
    for passed, count in bursts:
        now += passed
        pace.ended(now, count, count * seconds)
    return pace


@pytest.mark.parametrize(
    "bursts",
    [
        [(0.001, 1)] * 1000,
        [(0.02, 20)] * 100,
        [(0.02, 10), (0.0, 10)] * 100,
        [(0.02, 10), (0.00001, 9), (0.0, 1)] * 100,
        [(0.04, 20), (0.0, 20)] * 100,
    ],
)
def test_bursts_are_not_taken_for_the_pace(bursts: list[tuple[float, int]]) -> None:
    """1000 a second, in all of these."""
    pace = pace_of(bursts)
    assert pace.per_second == pytest.approx(1000, rel=0.25)
    assert pace.ahead(1) == pytest.approx(1000 * AHEAD_SECONDS, rel=0.25)


def test_a_first_outcome_that_comes_at_once_is_not_the_pace() -> None:
    assert pace_of([(0.0, 1)]).per_second <= 100


def test_a_pace_that_changes_is_followed_within_some_tenths_of_a_second() -> None:
    pace = pace_of([(0.001, 10)] * 500 + [(0.01, 1)] * 50)
    assert pace.per_second == pytest.approx(100, rel=0.7)


def test_what_passed_while_it_was_idle_does_not_count() -> None:
    pace = pace_of([(0.001, 1)] * 500)
    pace.begins(200.0)
    pace.ended(200.001, 1, 0.001)
    assert pace.per_second == pytest.approx(1000, rel=0.1)


def test_nothing_is_sent_ahead_of_slow_tasks_and_for_a_while_after_it_was_late() -> None:
    assert pace_of([(0.01, 10)] * 100, seconds=QUICK_SECONDS * 1.1).ahead(20) == 0
    pace = pace_of([(0.01, 10)] * 100)
    assert pace.ahead(4) > 4
    pace.was_late(0.175)
    assert pace.ahead(4) == 0
    for number in range(30):
        pace.ended(200.0 + number, 10, 0.01)
    assert pace.ahead(4) >= 4

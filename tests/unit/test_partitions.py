"""The names of partitions, and which partition a key belongs to."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskflow import TaskFlow
from taskflow.connection.topology import key_slot
from taskflow.errors import InvalidOption, InvalidQueueName
from taskflow.message.ids import check_queue_name, new_id
from taskflow.partitions import (
    MOST,
    check_own_queue,
    completed,
    home,
    other_homes,
    partition_name,
    partition_names,
    split_queue,
)

NAMES = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters="{}"), min_size=1, max_size=40
)
COUNTS = st.integers(1, MOST)


def masters(queue: str, count: int, of: int = 3) -> list[int]:
    """How many partitions each of so many masters of equal size holds."""
    found = Counter(
        key_slot(f"asynq:{{{name}}}:pending") * of // 16384 for name in partition_names(queue, count)
    )
    return [found[master] for master in range(of)]


def test_names_never_change() -> None:
    """Tasks are stored under them."""
    assert partition_names("images", 8) == (
        "images",
        "images~1yo",
        "images~2rl",
        "images~3ad",
        "images~4zo",
        "images~5rm",
        "images~6jc",
        "images~7do",
    )


@given(NAMES, st.integers(0, MOST - 1))
def test_a_name_says_its_queue_and_its_number(queue: str, index: int) -> None:
    name = partition_name(queue, index)

    assert check_queue_name(name) == name
    assert split_queue(name) == ((queue, index) if index else split_queue(queue))
    assert check_own_queue(queue) == queue or split_queue(queue)[1]


@given(NAMES)
def test_a_queue_has_64_different_names(queue: str) -> None:
    assert len(set(partition_names(queue))) == MOST


@pytest.mark.parametrize("queue", ["images", "webhooks", "notifications", "default", "mail", "low"])
def test_six_partitions_are_two_on_each_of_three_masters(queue: str) -> None:
    assert masters(queue, 3) == [1, 1, 1]
    assert masters(queue, 6) == [2, 2, 2]
    assert masters(queue, 6, of=6) == [1] * 6


@pytest.mark.parametrize(
    "name", ["images~1", "images~1zz", "images~01yo", "images~0aa", "~1yo", "images~64aa"]
)
def test_what_only_looks_like_a_partition_is_a_queue_of_its_own(name: str) -> None:
    assert split_queue(name) == (name, 0)
    assert check_own_queue(name) == name


def test_tasks_are_sent_to_the_queue_not_to_a_partition() -> None:
    app = TaskFlow(queues={"images": {"partitions": 6}})

    with pytest.raises(InvalidQueueName, match="'images~2rl' is the name of partition 2 of queue 'images'"):
        app.task(queue="images~2rl")(lambda: None)
    with pytest.raises(InvalidQueueName, match="name the queue instead"):
        TaskFlow(queues={"images~2rl": {"partitions": 6}})


@pytest.mark.parametrize(
    ("queues", "problem"),
    [
        ({"images": {"partitions": 0}}, "from 1 to 64"),
        ({"images": {"partitions": 65}}, "from 1 to 64"),
        ({"images": {"partitions": True}}, "from 1 to 64"),
        ({"images": {"partitions": "6"}}, "from 1 to 64"),
        ({"images": {"parts": 6}}, "no option 'parts'; there is `partitions`"),
        ({"images": 6}, "takes options"),
        ({"i{}": {"partitions": 2}}, "brace"),
        ({"i" * 253: {"partitions": 6}}, "257 characters"),
    ],
)
def test_what_queues_cannot_be(queues: Any, problem: str) -> None:
    with pytest.raises(InvalidOption, match=problem):
        TaskFlow(queues=queues)


def test_homes_never_change() -> None:
    """Locks are held there."""
    keys = ["order-1", "order-2", "a@example.com", "", "ünïcode", "\udcff"]

    assert [home(key, 6) for key in keys] == [4, 3, 2, 0, 1, 3]
    assert [home(key, 64) for key in keys] == [62, 46, 58, 0, 56, 9]


@given(st.text(), COUNTS)
def test_a_key_has_one_home(key: str, count: int) -> None:
    assert home(key, count) in range(count)
    assert home(key, count) == home(key, count)
    assert home(key, 1) == 0


@given(st.text(), COUNTS, COUNTS)
def test_growing_moves_keys_to_new_partitions_only(key: str, one: int, other: int) -> None:
    few, many = sorted((one, other))

    assert home(key, many) == home(key, few) or home(key, many) >= few


@given(st.text(), COUNTS, st.sets(COUNTS))
def test_the_other_homes_are_those_under_other_counts(key: str, count: int, counts: set[int]) -> None:
    assert set(other_homes(key, count, counts)) == {home(key, one) for one in counts} - {home(key, count)}


@settings(max_examples=50)
@given(st.integers(2, 16), st.sampled_from(["{}", "order-{}", "user:{}@example.com", "2026-11-{:05}"]))
def test_keys_are_balanced(count: int, pattern: str) -> None:
    found = Counter(home(pattern.format(number), count) for number in range(400 * count))

    assert all(280 < found[index] < 520 for index in range(count)), found


def test_growing_from_5_to_6_moves_a_sixth() -> None:
    moved = sum(home(f"order-{number}", 5) != home(f"order-{number}", 6) for number in range(6000))

    assert 850 < moved < 1150


@given(st.integers(2, MOST).flatmap(lambda count: st.tuples(st.integers(0, count - 1), st.just(count))))
def test_an_id_can_be_made_for_a_partition(place: tuple[int, int]) -> None:
    index, count = place

    made = completed(new_id()[:-2], index, count)

    assert made is None or (home(made, count) == index and len(made) == 36)


def test_nearly_every_beginning_can_be_completed() -> None:
    assert sum(completed(new_id()[:-2], 63, 64) is None for _ in range(500)) < 50
    assert sum(completed(new_id()[:-2], 5, 6) is None for _ in range(500)) == 0

"""In which partition a task is: what is asked, and what is made of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from taskflow.broker.commands.read import Snapshot
from taskflow.errors import BrokerUnavailable
from taskflow.message.task_message import TaskMessage
from taskflow.partitions import partition_names
from taskflow.states import State
from taskflow.tasks.search import search

NAMES = partition_names("q")
UNKNOWN = Snapshot(None, None, None, "")
AWAY = BrokerUnavailable("nobody answers")


def found_in(queue: str) -> Snapshot:
    return Snapshot(State.PENDING, TaskMessage("work", None, "an-id", queue), None, "")


class Asked:
    """A search of a queue with two partitions, of which the test answers each round."""

    def __init__(self, *answers: Any) -> None:
        self.rounds: list[Sequence[Any]] = []
        steps = search("q", 2, "an-id")
        requests = next(steps)
        for answer in answers:
            self.rounds.append(requests)
            assert len(answer) == len(requests)
            try:
                requests = steps.send(list(answer))
            except StopIteration as end:
                self.found: tuple[str | None, Snapshot] = end.value
                return
        raise AssertionError("one more round is asked for")


def listed(*names: str) -> list[bool]:
    return [name in names for name in NAMES[2:]]


def test_where_it_is_declared_one_round_is_enough() -> None:
    asked = Asked([listed(NAMES[5]), UNKNOWN, found_in(NAMES[1])])

    assert asked.found == (NAMES[1], found_in(NAMES[1]))


def test_partitions_that_the_app_declares_no_more_are_asked_if_they_are_listed() -> None:
    """Of those that there may be, nearly all have never been."""
    asked = Asked([listed(NAMES[5], NAMES[7]), UNKNOWN, UNKNOWN], [UNKNOWN, found_in(NAMES[7])])

    assert asked.found == (NAMES[7], found_in(NAMES[7]))


def test_what_is_nowhere_is_unknown() -> None:
    assert Asked([listed(), UNKNOWN, UNKNOWN]).found == (None, UNKNOWN)
    assert Asked([listed(NAMES[5]), UNKNOWN, UNKNOWN], [UNKNOWN]).found == (None, UNKNOWN)


def test_it_is_not_missing_while_it_may_be_where_nobody_answered() -> None:
    """A handle said that its task never existed, while a master was away."""
    with pytest.raises(BrokerUnavailable):
        Asked([listed(), UNKNOWN, AWAY])
    with pytest.raises(BrokerUnavailable):
        Asked([listed(NAMES[5]), UNKNOWN, UNKNOWN], [AWAY])
    assert Asked([listed(), AWAY, found_in(NAMES[1])]).found == (NAMES[1], found_in(NAMES[1]))


def test_without_the_list_it_is_still_found_where_it_is_declared() -> None:
    assert Asked([AWAY, UNKNOWN, found_in(NAMES[1])]).found == (NAMES[1], found_in(NAMES[1]))

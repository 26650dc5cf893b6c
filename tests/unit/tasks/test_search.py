"""In which queue, or in which partition of one, a task is: what is asked, and what is made of the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from taskflow.broker.commands.read import Snapshot
from taskflow.errors import AmbiguousTaskId, BrokerUnavailable
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
    """A search, by default of a queue with two partitions, of which the test answers each round."""

    def __init__(self, *answers: Any, places: Mapping[str, int] | None = None) -> None:
        self.rounds: list[Sequence[Any]] = []
        steps = search(places or {"q": 2}, "an-id")
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


PLACES = {"mail": 0, "q": 2, "web": 0}


def test_several_queues_are_asked_in_one_round() -> None:
    """One by one, an app with thirty queues would take thirty round trips for each look."""
    asked = Asked([listed(), UNKNOWN, UNKNOWN, UNKNOWN, found_in("web")], places=PLACES)

    assert asked.found == ("web", found_in("web"))
    assert len(asked.rounds) == 1


def test_of_queues_without_partitions_nothing_but_the_task_is_asked() -> None:
    """The index of all queues may lie on a node that none of them is on."""
    asked = Asked([found_in("mail"), UNKNOWN], places={"mail": 0, "web": 0})

    assert asked.found == ("mail", found_in("mail"))


def test_an_id_that_two_queues_have_is_nobodys() -> None:
    """Whichever came first would be an answer about another task, and a different one from day to day."""
    with pytest.raises(AmbiguousTaskId, match="is in the queues 'mail', 'q'") as caught:
        Asked([listed(), found_in("mail"), UNKNOWN, found_in(NAMES[1]), UNKNOWN], places=PLACES)
    assert caught.value.queues == ("mail", "q")


def test_it_may_be_in_the_queue_that_does_not_answer() -> None:
    with pytest.raises(BrokerUnavailable):
        Asked([UNKNOWN, AWAY], places={"mail": 0, "web": 0})
    assert Asked([found_in("mail"), AWAY], places={"mail": 0, "web": 0}).found == ("mail", found_in("mail"))

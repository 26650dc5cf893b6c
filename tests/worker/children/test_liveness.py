"""What a child's marks say about it: by them alone, with a clock of the test's own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from taskflow.pipe import shared_marks
from taskflow.worker.children.liveness import Liveness
from taskflow.worker.timings import TIMINGS

STUCK_SECONDS = TIMINGS.stuck


class Sides:
    """A child's marks, and what the worker makes of it; each look is 0.1 s later."""

    def __init__(self) -> None:
        descriptor = shared_marks.create()
        self.child, self._worker = (
            shared_marks.SharedMarks(descriptor, 2),
            shared_marks.SharedMarks(descriptor, 2),
        )
        os.close(descriptor)
        self.liveness = Liveness(self._worker)
        self.now = 1000.0

    def look(
        self, seconds: float, *, busy: bool = False, unsaid: frozenset[int] = frozenset(), step: float = 0.1
    ) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += step
            self.liveness.look(self.now, busy=busy, unsaid=set(unsaid), kept=set())

    def wrong(self, *, work_waits: bool = True) -> str:
        return self.liveness.wrong(STUCK_SECONDS, work_waits=work_waits)

    def close(self) -> None:
        self.child.close()
        self._worker.close()


@pytest.fixture
def sides() -> Iterator[Sides]:
    sides = Sides()
    sides.look(0.1)
    yield sides
    sides.close()


def test_a_child_that_does_not_answer_is_stuck_only_if_work_waits_for_it(sides: Sides) -> None:
    assert sides.liveness.question(sides.now) == 1
    assert sides.liveness.question(sides.now) == 0  # one question at a time
    sides.look(STUCK_SECONDS + 1)
    assert not sides.wrong(work_waits=False)
    assert "has read nothing" in sides.wrong()
    sides.child.answer(1, 0, 0)
    sides.look(0.1)
    assert not sides.wrong()


def test_what_was_sent_and_came_back_unstarted_is_work_that_waits(sides: Sides) -> None:
    sides.liveness.gave_back(sides.now, idle=False)
    sides.liveness.question(sides.now)
    sides.look(STUCK_SECONDS + 1)
    assert "has read nothing" in sides.wrong(work_waits=False)


def test_a_worker_that_was_stopped_itself_has_seen_nobody_stand_still(sides: Sides) -> None:
    """A suspended virtual machine: a minute has passed in one look."""
    sides.liveness.question(sides.now)
    sides.look(60.0, step=60.0)
    assert not sides.wrong()


def test_a_loop_is_stuck_until_it_answers(sides: Sides) -> None:
    sides.liveness.question(sides.now)
    sides.child.answer(1, 0, 1)
    sides.look(STUCK_SECONDS + 1)
    assert "event loop has not answered" in sides.wrong(work_waits=False)
    sides.child.answer_loop()
    sides.look(0.1)
    assert not sides.wrong()


def test_threads_are_stuck_when_what_waits_is_not_taken_although_a_slot_is_free(sides: Sides) -> None:
    sides.liveness.question(sides.now)
    sides.child.answer(1, 1, 0)
    sides.look(STUCK_SECONDS + 1, busy=True)
    assert not sides.wrong()
    sides.look(STUCK_SECONDS + 1)
    assert "none of its threads" in sides.wrong(work_waits=False)


def test_a_verdict_that_does_not_come_is_missed(sides: Sides) -> None:
    """What waits for the same job twice is one: other jobs come and go."""
    for job in range(100):
        sides.look(0.1, unsaid=frozenset({job}))
    assert not sides.wrong()
    sides.look(STUCK_SECONDS + 1, unsaid=frozenset({7}))
    assert "its verdict did not come" in sides.wrong(work_waits=False)


def test_a_child_that_gives_back_all_it_is_given_is_stuck_once_it_runs_nothing(sides: Sides) -> None:
    for _ in range(40):
        sides.liveness.gave_back(sides.now, idle=True)
        sides.look(0.2)
    assert "given back unstarted" in sides.wrong(work_waits=False)
    sides.liveness.got_on()
    sides.look(0.1)
    assert not sides.wrong(work_waits=False)

"""Who has the tasks of a child that runs them no more (no processes here)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from taskflow.broker.commands.dequeue import Taken
from taskflow.message.outcome import Outcome
from taskflow.states import Verb
from taskflow.worker.children.leftovers import Leftovers
from taskflow.worker.holding.held_tasks import Held

RUNNING, TIMED_OUT, UNSTARTED, TO_JUDGE = "running", "timed out", "unstarted", "to judge"


class Scene:
    """A child that held four tasks: two had started, and one of each two was ended from outside."""

    def __init__(self) -> None:
        self.tasks = {
            name: Held("q", Taken(name, b"", "r")) for name in (RUNNING, TIMED_OUT, UNSTARTED, TO_JUDGE)
        }
        for name in (TIMED_OUT, TO_JUDGE):
            self.tasks[name].failure = "hard time limit exceeded"
        self.outcomes: list[tuple[Held, Outcome]] = []
        self.expected: list[list[int]] = []
        self.children: list[Any] = []
        quarantine: Any = SimpleNamespace(expect=self.expected.append)
        self.leftovers = Leftovers(self.children, quarantine, self.outcomes.extend)

    def child(self, *, retiring: bool = False, stalled: bool = False) -> Any:
        """A child that keeps what it is sent."""
        child = SimpleNamespace(retiring=retiring, stalled=stalled, takes_work=not retiring, given=[])
        child.send_jobs = lambda items: child.given.extend(held.id for held in items)
        child.process = SimpleNamespace(pid=1)
        child.running = lambda: [(self.tasks[RUNNING], 2.5)]
        child.left = lambda: [(held, name in (RUNNING, TIMED_OUT)) for name, held in self.tasks.items()]
        child.recall = lambda: [self.tasks[UNSTARTED], self.tasks[TO_JUDGE]]
        return child

    def verbs(self) -> dict[str, Verb]:
        return {held.id: Verb(outcome.verb) for held, outcome in self.outcomes}

    def handed_back(self) -> dict[str, bool]:
        """What was given back uncounted, and whether as something that was running."""
        return {
            held.id: outcome.delay == 1.0 for held, outcome in self.outcomes if outcome.verb == Verb.REQUEUE
        }


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_after_a_crash_only_what_was_running_is_a_suspect(scene: Scene) -> None:
    other = scene.child()
    scene.children.append(other)

    scene.leftovers.bury(scene.child(), -9, stopping=False)

    assert scene.verbs() == {RUNNING: Verb.REQUEUE_CRASHED, UNSTARTED: Verb.REQUEUE}
    assert scene.handed_back() == {UNSTARTED: False}
    assert scene.expected == [[1]]
    (crashed,) = [outcome for held, outcome in scene.outcomes if held.id == RUNNING]
    assert crashed.attempt is not None
    assert (crashed.attempt.type, crashed.attempt.seconds) == ("ProcessDied", 2.5)
    assert "SIGKILL" in crashed.attempt.text
    assert other.given == [TIMED_OUT, TO_JUDGE]


def test_no_room_is_kept_for_a_task_that_has_cost_its_last_process(scene: Scene) -> None:
    """It comes back to be archived, and never runs again."""
    scene.tasks[RUNNING] = Held("q", Taken(RUNNING, b"", "r", crashes=2))

    scene.leftovers.bury(scene.child(), -9, stopping=False)

    assert scene.expected == [[]]


def test_neighbours_of_a_task_whose_process_had_to_be_killed_are_no_suspects(scene: Scene) -> None:
    """They run again, however late it is by then: they had started in time."""
    scene.leftovers.bury(scene.child(retiring=True), -9, stopping=False)

    assert scene.handed_back() == {RUNNING: True, UNSTARTED: False}
    assert scene.expected == []


def test_at_a_stop_everything_goes_back_and_nothing_counts(scene: Scene) -> None:
    """Nobody is left who could judge, and another worker comes to its own verdict."""
    scene.children.append(scene.child())

    scene.leftovers.bury(scene.child(), 0, stopping=True)

    assert scene.handed_back() == {RUNNING: True, TIMED_OUT: True, UNSTARTED: False, TO_JUDGE: False}
    assert scene.children[0].given == []


def test_what_is_taken_back_from_a_child_that_retires_goes_back_or_to_another_child(scene: Scene) -> None:
    stalled, able = scene.child(stalled=True), scene.child()
    scene.children += [scene.child(retiring=True), stalled, able]

    scene.leftovers.recall(scene.child(retiring=True))

    assert scene.handed_back() == {UNSTARTED: False}
    assert able.given == [TO_JUDGE], "one that answers is there"
    assert stalled.given == []


def test_a_verdict_waits_for_the_next_child_and_is_asked_for_once(scene: Scene) -> None:
    scene.leftovers.recall(scene.child(retiring=True))
    first, second = scene.child(), scene.child()

    scene.leftovers.offer(first)
    scene.leftovers.offer(second)
    scene.leftovers.drain()

    assert (first.given, second.given) == ([TO_JUDGE], [])
    assert scene.handed_back() == {UNSTARTED: False}


def test_what_waits_for_a_verdict_at_a_stop_goes_back(scene: Scene) -> None:
    """It stayed active without anybody who held it."""
    scene.leftovers.recall(scene.child(retiring=True))

    scene.leftovers.drain()

    assert scene.handed_back() == {UNSTARTED: False, TO_JUDGE: True}

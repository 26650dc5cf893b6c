"""Tasks that were taken are given to somebody, or go back: nothing is held that nobody works on."""

from __future__ import annotations

from typing import Any

import pytest

from taskflow.broker.commands.dequeue import Taken
from taskflow.clock import ServerClock
from taskflow.message.outcome import Outcome
from taskflow.states import Verb
from taskflow.worker.holding.cancels import Cancels
from taskflow.worker.holding.held_tasks import Held, HeldTasks
from taskflow.worker.taking.intake import Intake


class Supervisor:
    """One that fails, or takes."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.given: list[Held] = []

    def give(self, items: list[Held]) -> None:
        if self.error is not None:
            raise self.error
        self.given += items


@pytest.mark.parametrize(
    ("error", "is_open", "back"), [(None, True, 0), (None, False, 2), (RuntimeError("a bug"), True, 2)]
)
def test_what_cannot_be_given_to_a_child_goes_back(error: Exception | None, is_open: bool, back: int) -> None:
    """It was held, with a lease that was renewed for ever, and nobody ran it."""
    supervisor: Any = Supervisor(error)
    outcomes: list[tuple[Held, Outcome]] = []
    held_tasks = HeldTasks()
    cancels = Cancels(held_tasks, lambda held: None)
    intake = Intake(held_tasks, supervisor, outcomes.extend, ServerClock(), lambda: is_open, cancels)

    intake.take("q", [Taken("a", b"", "1"), Taken("b", b"", "2")])

    assert len(held_tasks) == 2
    assert [(held.id, outcome.verb) for held, outcome in outcomes] == [
        ("a", Verb.REQUEUE),
        ("b", Verb.REQUEUE),
    ][:back]
    assert len(supervisor.given) == 2 - back

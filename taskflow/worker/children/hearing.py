"""What a child says, and who gets it: outcomes, reports, counts, answers."""

from __future__ import annotations

from collections.abc import Callable

from ...message.outcome import Outcome
from ...message.report import Report
from ...pipe import frames
from ...telemetry.counts import Totals
from ..holding.held_tasks import Held
from .builds import Builds
from .child import Child
from .stacks import StackQuestions


class Hearing:
    """Takes what children say.

    Args:
        builds: what was asked for messages that take the app's keys.
        counts: what children have said of the tasks that they ran.
        stacks: who was asked where it stands.
        on_outcomes: takes outcomes with the tasks they belong to.
        on_done: takes the tasks that are simply done.
        on_reports: takes what running tasks say of themselves.
        on_room: called whenever a child may have room again.
        hand_back: gives tasks back that have not started.
        ended: told how many tasks of a child have ended; None: nobody wants to know.
    """

    def __init__(
        self,
        builds: Builds,
        counts: Totals,
        stacks: StackQuestions,
        *,
        on_outcomes: Callable[[list[tuple[Held, Outcome]]], None],
        on_done: Callable[[list[Held]], None],
        on_reports: Callable[[list[tuple[Held, Report]]], None],
        on_room: Callable[[], None],
        hand_back: Callable[[list[Held]], None],
        ended: Callable[[Child, int], None] | None,
    ) -> None:
        self._builds = builds
        self._counts = counts
        self._stacks = stacks
        self._on_outcomes = on_outcomes
        self._on_done = on_done
        self._on_reports = on_reports
        self._on_room = on_room
        self._hand_back = hand_back
        self._ended = ended

    def hear(self, child: Child, value: frames.FromChild) -> None:
        """Take one frame."""
        if isinstance(value, frames.Reports):
            said = [(child.jobs.get(one.number), one) for one in value.items]
            self._on_reports([(held, one) for held, one in said if held is not None])
            return  # it says nothing about the child
        child.stalled = False
        match value:
            case frames.Outcomes(items, done, seconds):
                if items or done:
                    seconds += sum([item.seconds for item in items])
                    child.measure(len(items) + len(done), seconds)
                child.liveness.got_on()
                take = child.jobs.pop
                if done:
                    self._on_done([held for number in done if (held := take(number, None)) is not None])
                if items:
                    known = [(take(item.number, None), item) for item in items]
                    self._on_outcomes([(held, item) for held, item in known if held is not None])
                if self._ended is not None:
                    self._ended(child, len(items) + len(done))
            case frames.Events(counts):
                self._counts.add(counts)
                return  # it says nothing about jobs, and comes right before what does
            case frames.Built():
                self._builds.answered(child, value)
            case frames.Stacks(text):
                self._stacks.answered(child, text)
            case frames.Returned(numbers):
                self._hand_back(
                    [held for number in numbers if (held := child.jobs.pop(number, None)) is not None]
                )
        if child.retiring and not child.jobs:
            child.close()
        self._on_room()

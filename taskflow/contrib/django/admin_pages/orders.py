"""What may be done to tasks and queues from the admin, and what is said of it afterwards."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from django.contrib import messages

from taskflow import CancelOutcome, State
from taskflow.errors import BrokerUnavailable, TaskFlowError
from taskflow.inspector import (
    ARCHIVABLE,
    CANCELLABLE,
    DELETABLE,
    RUNNABLE,
    Inspector,
    TaskFilter,
    printable,
)

Names = tuple[str, ...]
"""Of a task its queue and its id, of a queue its name."""

TOGETHER = 500
"""Tasks of one order to cancel."""

MOST_AWAY = 2
"""Queues that did not answer, after which the others are not asked either: each takes some seconds."""


@dataclass(frozen=True, slots=True)
class Order:
    """Something that may be done.

    Args:
        name: in forms.
        label: on buttons.
        permission: for which `has_…_permission` of the admin is asked.
        question: before it is done.
        one: does it, and says what became of it.
        removes: whether what it was done to is gone then.
        states: the states of tasks that it is for.
        many: does it to the tasks of a state of a queue that fit a filter; how many they were, by what became of them.
    """

    name: str
    label: str
    permission: str
    question: str
    one: Callable[[Inspector, Names], str]
    removes: bool = False
    states: Collection[State] = ()
    many: Callable[[Inspector, State, TaskFilter, str], dict[str, int]] | None = None


@dataclass(slots=True)
class Report:
    """What became of an order: for each outcome its level among Django's messages, and to what it happened."""

    told: dict[tuple[int, str], list[str]] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)

    def add(self, level: int, outcome: str, name: str) -> None:
        """Note what became of one.

        Args:
            level: of the message.
            outcome: what is said of it.
            name: which.
        """
        self.told.setdefault((level, outcome), []).append(name)

    def count(self, outcomes: dict[str, int]) -> None:
        """Note what became of many.

        Args:
            outcomes: how many, by outcome.
        """
        for outcome, number in outcomes.items():
            self.counted[outcome] = self.counted.get(outcome, 0) + number

    @property
    def done(self) -> int:
        """To how many it was done."""
        told = sum(len(names) for (level, _), names in self.told.items() if level == messages.SUCCESS)
        return told + sum(self.counted.values())

    def lines(self, noun: str) -> list[tuple[int, str]]:
        """The messages.

        Args:
            noun: what they are: "task".
        """
        lines = [
            (level, f"{outcome}: {_number(len(names), noun)} ({', '.join(names)})")
            for (level, outcome), names in self.told.items()
        ]
        return lines + [
            (messages.SUCCESS, f"{outcome}: {_number(number, noun)}")
            for outcome, number in self.counted.items()
        ]


def carry_out(inspector: Inspector, order: Order, chosen: Sequence[Names]) -> tuple[Report, list[Names]]:
    """Do it to each; where one refuses, or its node is away, the others are done all the same.

    Args:
        inspector: who does it.
        order: what.
        chosen: to what.

    Returns:
        What became of each, and those that it was done to.
    """
    report, done = Report(), []
    away: dict[str, str] = {}
    for names in chosen:
        queue, name = names[0], printable(names[-1])
        if queue in away or len(away) >= MOST_AWAY:
            report.add(messages.ERROR, "Not done, since the broker did not answer", name)
            continue
        try:
            outcome = order.one(inspector, names)
        except BrokerUnavailable as error:
            away[queue] = str(error)
            report.add(
                messages.ERROR,
                f"Perhaps not done: {printable(str(error))}. Do it again: what was done is not done twice",
                name,
            )
        except TaskFlowError as error:
            report.add(messages.WARNING, f"Not done: {printable(str(error))}", name)
        else:
            done.append(names)
            report.add(messages.SUCCESS, outcome, name)
    return report, done


def carry_out_all(
    inspector: Inspector, order: Order, states: Iterable[State], where: TaskFilter, queues: Sequence[str]
) -> Report:
    """Do it to all tasks that fit.

    Args:
        inspector: who does it.
        order: what.
        states: in which states.
        where: which tasks of these.
        queues: in which queues.
    """
    report = Report()
    many = order.many
    away: list[str] = []
    if many is None:
        return report
    for state in [state for state in states if state in order.states]:
        for queue in queues:
            if queue in away:
                continue
            if len(away) >= MOST_AWAY:
                report.add(messages.ERROR, "Not done, since the broker did not answer", queue)
                continue
            try:
                report.count(many(inspector, state, where, queue))
            except TaskFlowError as error:
                away.append(queue)
                report.add(
                    messages.ERROR,
                    f"Not done to all {state.value} tasks: {printable(str(error))}. The others are where they were: do it again",
                    f"queue {printable(queue)}",
                )
    return report


def _number(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


PENDING = "Pending, to run as soon as a worker is free"
ARCHIVED = "Archived"
DELETED = "Deleted"
CANCELLED = {
    CancelOutcome.CANCELLED: "Cancelled, and archived",
    CancelOutcome.ASKED: "Running, told to stop, and not run again",
    CancelOutcome.ENDED: "Had ended before, so there was nothing to cancel",
}


def _run(inspector: Inspector, names: Names) -> str:
    inspector.run(*names)
    return PENDING


def _archive(inspector: Inspector, names: Names) -> str:
    inspector.archive(*names)
    return ARCHIVED


def _delete(inspector: Inspector, names: Names) -> str:
    inspector.delete(*names)
    return DELETED


def _cancel(inspector: Inspector, names: Names) -> str:
    queue, task_id = names
    return CANCELLED[inspector.cancel(task_id, queue)]


def _run_many(inspector: Inspector, state: State, where: TaskFilter, queue: str) -> dict[str, int]:
    return {PENDING: inspector.run_matching(state, where, queues=[queue])}


def _archive_many(inspector: Inspector, state: State, where: TaskFilter, queue: str) -> dict[str, int]:
    return {ARCHIVED: inspector.archive_matching(state, where, queues=[queue])}


def _delete_many(inspector: Inspector, state: State, where: TaskFilter, queue: str) -> dict[str, int]:
    return {DELETED: inspector.delete_matching(state, where, queues=[queue])}


def _cancel_many(inspector: Inspector, state: State, where: TaskFilter, queue: str) -> dict[str, int]:
    ids = [task.id for task in inspector.matching(state, where, queues=[queue])]
    total = dict.fromkeys(CANCELLED, 0)
    for start in range(0, len(ids), TOGETHER):
        done = inspector.cancel_all(*ids[start : start + TOGETHER], queues=[queue])
        total[CancelOutcome.CANCELLED] += done.cancelled
        total[CancelOutcome.ASKED] += done.asked
        total[CancelOutcome.ENDED] += done.ended
    return {CANCELLED[outcome]: number for outcome, number in total.items() if number}


TASK_ORDERS = (
    Order("run", "Run now", "run", "Let it run now?", _run, False, RUNNABLE, _run_many),
    Order("cancel", "Cancel", "change", "Cancel it?", _cancel, False, CANCELLABLE, _cancel_many),
    Order("archive", "Archive", "change", "Archive it?", _archive, False, ARCHIVABLE, _archive_many),
    Order("delete", "Delete", "delete", "Delete it?", _delete, True, DELETABLE, _delete_many),
)


def _pause(inspector: Inspector, names: Names) -> str:
    (queue,) = names
    return "Paused: no worker takes from it" if inspector.pause(queue) else "Was paused already"


def _resume(inspector: Inspector, names: Names) -> str:
    (queue,) = names
    return "Resumed: workers take from it" if inspector.resume(queue) else "Was not paused"


def _remove(inspector: Inspector, names: Names) -> str:
    (queue,) = names
    inspector.remove(queue)
    return "Removed"


QUEUE_ORDERS = (
    Order("pause", "Pause", "change", "Pause it?", _pause),
    Order("resume", "Resume", "change", "Resume it?", _resume),
    Order("remove", "Remove if empty", "delete", "Remove it, if it holds no tasks?", _remove, removes=True),
)

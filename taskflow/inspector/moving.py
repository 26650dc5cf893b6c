"""Moving tasks by hand: run, archive, delete; one by its id, or all of a state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..broker.command import Command
from ..broker.commands.admin import (
    BATCH,
    Swept,
    archive_all,
    archive_tasks,
    delete_all,
    delete_tasks,
    run_all,
    run_tasks,
)
from ..broker.commands.inspect import count_set
from ..broker.keys import queue_keys
from ..broker.words import Moved
from ..errors import IllegalMove, TaskFlowError, TaskNotFound
from ..states import State
from .both import AnyBroker
from .queues import groups, require
from .values import known_state

ByState = Callable[[str, State, str, int], Command[Swept]]


@dataclass(frozen=True, slots=True)
class Order:
    """Something that an operator tells tasks to do.

    `done` is its past participle for errors; `there` is the state where an order finds nothing to do.
    """

    done: str
    there: str
    by_id: Callable[[str, list[str], str], Command[list[Moved]]]
    by_state: ByState
    states: frozenset[State]


RUN = Order(
    "run",
    "pending",
    run_tasks,
    run_all,
    frozenset({State.SCHEDULED, State.RETRY, State.ARCHIVED, State.COMPLETED, State.AGGREGATING}),
)
ARCHIVE = Order(
    "archived",
    "archived",
    archive_tasks,
    archive_all,
    frozenset({State.PENDING, State.SCHEDULED, State.RETRY, State.AGGREGATING}),
)
DELETE = Order("deleted", "gone", delete_tasks, delete_all, frozenset(State) - {State.ACTIVE})

RUNNABLE, ARCHIVABLE, DELETABLE = RUN.states, ARCHIVE.states, DELETE.states
"""The states whose tasks each order is for."""

WAITING = (State.PENDING, State.SCHEDULED, State.RETRY, State.AGGREGATING)
"""The states of tasks that have yet to run: what a purge deletes."""


async def move_one(broker: AnyBroker, order: Order, queue: str, task_id: str) -> None:
    """Carry out an order for one task; raises QueueNotFound, TaskNotFound or IllegalMove."""
    await require(broker, queue)
    (outcome,) = await broker.run(order.by_id(queue, [task_id], ""))
    if outcome is not Moved.MOVED:
        raise refusal(order, outcome, queue, task_id)


async def move_all(
    broker: AnyBroker, order: Order, queue: str, state: State, group: str | None = None
) -> int:
    """Carry out an order for all tasks of a state; the number of tasks.

    Not one atomic step but many bounded ones: it ends when as many tasks were handled as there were at its
    beginning.
    """
    state = allowed(order, state)
    counts = await require(broker, queue)
    if state is not State.AGGREGATING:
        return await _sweep(broker, order, queue, state, "", counts.numbers[state.value])
    if group is not None:
        size = await broker.run(count_set(queue, queue_keys(queue).group(group)))
        return await _sweep(broker, order, queue, state, group, size)
    found = await groups(broker, queue)
    return sum([await _sweep(broker, order, queue, state, one.name, one.size) for one in found])


def allowed(order: Order, state: State) -> State:
    """The state, if the order is one for its tasks; raises IllegalMove."""
    state = known_state(state)
    if state not in order.states:
        possible = ", ".join(one.value for one in State if one in order.states)
        raise IllegalMove(f"tasks in state {state.value} cannot be {order.done}; it works for {possible}")
    return state


async def purge(broker: AnyBroker, queue: str) -> int:
    """Delete every task that has yet to run; the number of tasks."""
    return sum([await move_all(broker, DELETE, queue, state) for state in WAITING])


async def _sweep(broker: AnyBroker, order: Order, queue: str, state: State, group: str, size: int) -> int:
    taken = moved = 0
    while taken < size:
        step = await broker.run(order.by_state(queue, state, group, min(BATCH, size - taken)))
        if not step.taken:
            break
        taken += step.taken
        moved += step.moved
    return moved


def refusal(order: Order, outcome: Moved, queue: str, task_id: str) -> TaskFlowError:
    """The error for an order that the task's state does not allow."""
    if outcome is Moved.NO_SUCH_TASK:
        return TaskNotFound(task_id, queue)
    task = f"task {task_id!r} of queue {queue!r}"
    reasons: Mapping[Moved, str] = {
        Moved.IS_ACTIVE: f"{task} is active, so it cannot be {order.done}; `taskflow task cancel` stops it",
        Moved.IS_THERE: f"{task} is {order.there} already",
        Moved.IS_BEING_AGGREGATED: f"{task} is aggregating: its group is being put together right now, "
        f"so it cannot be {order.done}; look again in a moment",
        Moved.IS_COMPLETED: f"{task} is completed, so it cannot be {order.done}; "
        "`taskflow task delete` deletes it",
        Moved.IS_ELSEWHERE: f"{task} is not where it was any more",
    }
    return IllegalMove(reasons[outcome])

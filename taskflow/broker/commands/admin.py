"""Admin: move tasks by hand, one by one or a whole state in bounded steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ...states import State
from ..command import Command
from ..keys import QueueKeys, queue_keys
from ..scripts import load
from .finish import ARCHIVE_SECONDS, ARCHIVE_SIZE
from .once import once

BATCH = 100
"""Items of one script call at most; callers repeat until nothing is left."""


class Moved(Enum):
    """What became of an order to move or delete a task."""

    MOVED = 1
    NO_SUCH_TASK = 0
    IS_ACTIVE = -1
    IS_THERE = -2
    """It is already in the state that it was told to go to."""
    IS_BEING_AGGREGATED = -3
    IS_COMPLETED = -4


@dataclass(frozen=True, slots=True)
class Swept:
    """One step over a state: how many ids it took from there, and how many tasks it moved or deleted."""

    taken: int
    moved: int


def run_tasks(queue: str, ids: Sequence[str]) -> Command[list[Moved]]:
    """Move tasks to pending from wherever they wait, archived and completed included."""
    keys = queue_keys(queue)
    names = [
        keys.pending,
        keys.active,
        keys.lease,
        keys.scheduled,
        keys.retry,
        keys.archived,
        keys.completed,
        keys.groups,
        keys.aggregation_sets,
    ]
    return _by_id("run_tasks", keys, names, [keys.group("")], ids)


def archive_tasks(queue: str, ids: Sequence[str]) -> Command[list[Moved]]:
    """Archive tasks that wait."""
    keys = queue_keys(queue)
    names = [
        keys.pending,
        keys.active,
        keys.lease,
        keys.scheduled,
        keys.retry,
        keys.archived,
        keys.groups,
        keys.aggregation_sets,
    ]
    return _by_id("archive_tasks", keys, names, [keys.group(""), *_archive(keys)], ids)


def delete_tasks(queue: str, ids: Sequence[str]) -> Command[list[Moved]]:
    """Delete tasks that are not running."""
    keys = queue_keys(queue)
    names = [
        keys.pending,
        keys.active,
        keys.lease,
        keys.scheduled,
        keys.retry,
        keys.archived,
        keys.completed,
        keys.groups,
        keys.aggregation_sets,
        keys.orphans,
    ]
    return _by_id("delete_tasks", keys, names, [keys.group(""), keys.unique_prefix], ids)


def run_all(queue: str, state: State, group: str = "", limit: int = BATCH) -> Command[Swept]:
    """One step of moving all tasks of a state (aggregating: of a group) to pending."""
    keys = queue_keys(queue)
    names = (_source(keys, state, group), keys.pending, keys.active, keys.lease, keys.groups, keys.orphans)
    return once(load("run_all"), keys, names, (limit, group, keys.task_prefix), _swept)


def archive_all(queue: str, state: State, group: str = "", limit: int = BATCH) -> Command[Swept]:
    """One step of archiving all tasks of a state (aggregating: of a group)."""
    keys = queue_keys(queue)
    names = (_source(keys, state, group), keys.active, keys.lease, keys.archived, keys.groups, keys.orphans)
    args = (limit, state.value, group, *_archive(keys))
    return once(load("archive_all"), keys, names, args, _swept)


def delete_all(queue: str, state: State, group: str = "", limit: int = BATCH) -> Command[Swept]:
    """One step of deleting all tasks of a state (aggregating: of a group)."""
    keys = queue_keys(queue)
    names = (_source(keys, state, group), keys.active, keys.lease, keys.groups)
    args = (limit, state.value, group, keys.task_prefix, keys.unique_prefix)
    return once(load("delete_all"), keys, names, args, _swept)


def _by_id(
    script: str, keys: QueueKeys, names: list[str], args: list[Any], ids: Sequence[str]
) -> Command[list[Moved]]:
    names += [keys.task(task_id) for task_id in ids]
    return once(load(script), keys, names, [*args, *ids], _moved)


def _archive(keys: QueueKeys) -> tuple[Any, ...]:
    """Arguments of a script that archives, from the prefixes on."""
    return (keys.unique_prefix, keys.task_prefix, keys.own + "verdict:", ARCHIVE_SECONDS, ARCHIVE_SIZE)


def _source(keys: QueueKeys, state: State, group: str) -> str:
    return keys.group(group) if state is State.AGGREGATING else keys.state(state)


def _moved(reply: list[int]) -> list[Moved]:
    return [Moved(item) for item in reply]


def _swept(reply: list[int]) -> Swept:
    return Swept(*reply)

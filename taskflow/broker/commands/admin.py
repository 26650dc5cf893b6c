"""Admin: move tasks by hand, one by one or a whole state in bounded steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...message.kept import ARCHIVE_SECONDS
from ...states import State
from ..builder import Build, builder
from ..command import Command
from ..keys import QueueKeys, queue_keys
from ..words import Moved
from .finish import ARCHIVE_SIZE
from .once import once

BATCH = 100
"""Items of one script call at most; callers repeat until nothing is left."""

_TRIMMED: dict[str, Any] = {"archive_seconds": ARCHIVE_SECONDS, "archive_size": ARCHIVE_SIZE}
_build_run_tasks = builder("run_tasks", "answer only_state")
_build_archive_tasks = builder("archive_tasks", "answer only_state", **_TRIMMED)
_build_delete_tasks = builder("delete_tasks", "answer only_state")
_build_run_all = builder("run_all", "answer source limit group")
_build_archive_all = builder("archive_all", "answer source limit state group", **_TRIMMED)
_build_delete_all = builder("delete_all", "answer source limit state group")


@dataclass(frozen=True, slots=True)
class Swept:
    """One step over a state: how many ids it took from there, and how many tasks it moved or deleted."""

    taken: int
    moved: int


def run_tasks(queue: str, ids: Sequence[str], state: str = "") -> Command[list[Moved]]:
    """Move tasks to pending from wherever they wait, archived and completed included; with `state` only those that are in it."""
    return _by_id(_build_run_tasks, queue, ids, state)


def archive_tasks(queue: str, ids: Sequence[str], state: str = "") -> Command[list[Moved]]:
    """Archive tasks that wait; `state` as for `run_tasks`."""
    return _by_id(_build_archive_tasks, queue, ids, state)


def delete_tasks(queue: str, ids: Sequence[str], state: str = "") -> Command[list[Moved]]:
    """Delete tasks that are not running; `state` as for `run_tasks`."""
    return _by_id(_build_delete_tasks, queue, ids, state)


def run_all(queue: str, state: State, group: str = "", limit: int = BATCH) -> Command[Swept]:
    """One step of moving all tasks of a state (aggregating: of a group) to pending."""
    keys = queue_keys(queue)
    return once(_build_run_all, keys, _swept, source=_source(keys, state, group), limit=limit, group=group)


def archive_all(queue: str, state: State, group: str = "", limit: int = BATCH) -> Command[Swept]:
    """One step of archiving all tasks of a state (aggregating: of a group)."""
    return _all(_build_archive_all, queue, state, group, limit)


def delete_all(queue: str, state: State, group: str = "", limit: int = BATCH) -> Command[Swept]:
    """One step of deleting all tasks of a state (aggregating: of a group)."""
    return _all(_build_delete_all, queue, state, group, limit)


def _by_id(build: Build, queue: str, ids: Sequence[str], state: str) -> Command[list[Moved]]:
    keys = queue_keys(queue)
    return once(build, keys, _moved, [keys.task(task_id) for task_id in ids], ids, only_state=state)


def _all(build: Build, queue: str, state: State, group: str, limit: int) -> Command[Swept]:
    keys = queue_keys(queue)
    source = _source(keys, state, group)
    return once(build, keys, _swept, source=source, limit=limit, state=state.value, group=group)


def _source(keys: QueueKeys, state: State, group: str) -> str:
    return keys.group(group) if state is State.AGGREGATING else keys.state(state)


def _moved(reply: list[int]) -> list[Moved]:
    return [Moved(item) for item in reply]


def _swept(reply: list[int]) -> Swept:
    return Swept(*reply)

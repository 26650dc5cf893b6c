"""Forgetting: what is kept of tasks that have ended is deleted. A repetition finds nothing, and nothing is what is wanted."""

from __future__ import annotations

from collections.abc import Sequence

from ..builder import builder
from ..command import Command
from ..keys import queue_keys
from ..words import Moved

_build = builder("forget")


def forget(queue: str, ids: Sequence[str]) -> Command[list[Moved]]:
    """Delete tasks that are completed or archived; any other is left as it is."""
    keys = queue_keys(queue)
    return _build(keys, _moved, [keys.task(task_id) for task_id in ids], ids)


def _moved(reply: list[int]) -> list[Moved]:
    return [Moved(item) for item in reply]

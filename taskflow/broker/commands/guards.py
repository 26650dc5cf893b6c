"""Guards: of the workers that serve a queue, one does what need not be done by each."""

from __future__ import annotations

from ..builder import builder
from ..command import Command
from ..keys import queue_keys

_build_hold_guard = builder("hold_guard", "guard worker milliseconds")


def hold_guard(queue: str, name: str, worker: str, seconds: float) -> Command[bool]:
    """Take the guard `name` of a queue if nobody has it, or keep it if `worker` has it; whether `worker` has it now.

    Args:
        queue: its name.
        name: of what is guarded.
        worker: who asks.
        seconds: how long it holds from now.
    """
    keys = queue_keys(queue)
    return _build_hold_guard(
        keys, bool, guard=keys.guard(name), worker=worker, milliseconds=int(seconds * 1000)
    )

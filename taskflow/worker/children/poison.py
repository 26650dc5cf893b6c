"""A task that kills the process it runs in is archived, with the reason, before it does so for ever (pure)."""

from __future__ import annotations

from ...message.outcome import Outcome
from ...telemetry.events import Poisonous, emit
from ..holding.held_tasks import Held
from ..holding.verdicts import archived

MOST_CRASHES = 3
"""Processes that a task may cost. The first may have been a neighbour's fault; in the others it ran alone."""


PROCESS_DIED = "ProcessDied"
"""Stands for the type of what such a task fails with."""


def archive_poison(held: Held, now: float) -> Outcome:
    """The verdict on a task that has cost `MOST_CRASHES` processes."""
    reason = f"its process died {held.taken.crashes} times while it ran"
    if Poisonous.heard:
        emit(Poisonous(*held.who(), crashes=held.taken.crashes))
    return archived(held, reason, PROCESS_DIED, now)

"""Divides what was taken among the children: to the one with most room, to the quarantine, or to none."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ...message.outcome import Outcome
from ..holding.held_tasks import Held
from ..holding.verdicts import too_large
from .child import Child
from .quarantine import Quarantine


class Dispatcher:
    """Sends tasks to children.

    Args:
        children: those that run now; the group changes the list.
        quarantine: has the tasks that were running when a process died.
        on_outcomes: takes outcomes with the tasks they belong to.
        hand_back: takes tasks for which there is no child.
        most: bytes of a message that a child may be sent.
        isolates: whether such tasks run apart from the others.
    """

    def __init__(
        self,
        children: Sequence[Child],
        quarantine: Quarantine,
        on_outcomes: Callable[[list[tuple[Held, Outcome]]], None],
        hand_back: Callable[[list[Held]], None],
        *,
        most: int,
        isolates: bool,
    ) -> None:
        self._children = children
        self._quarantine = quarantine
        self._on_outcomes = on_outcomes
        self._hand_back = hand_back
        self._most = most
        self._isolates = isolates

    def give(self, items: list[Held]) -> None:
        """Send tasks to the children, each part to the one with most room.

        More than fits (a fetch that came late) goes to the emptiest: what does not start in time is taken back.
        """
        self._quarantine.arrived(len(items))
        if items and max([len(held.taken.message) for held in items]) > self._most:
            items = self._archive_large(items)
        suspects = [held for held in items if held.taken.crashes]
        if suspects and self._isolates:
            # It was running when a process died, so it runs in the quarantine, where it cannot hurt the others.
            items = [held for held in items if not held.taken.crashes]
            self._quarantine.give(suspects)
        while items:
            child = max((c for c in self._children if c.takes_work), key=_suits, default=None)
            if child is None:
                self._hand_back(items)
                return
            others = any(c is not child and c.room() > 0 for c in self._children)
            count = max(child.room() // 2, 1) if others else len(items)
            part, items = items[:count], items[count:]
            child.send_jobs(part)

    def _archive_large(self, items: list[Held]) -> list[Held]:
        """Archive messages that are over the limit, as they are; those that are left."""
        most = self._most
        large = [held for held in items if len(held.taken.message) > most]
        self._on_outcomes(
            [(held, too_large(held.who, len(held.taken.message), most, time.time())) for held in large]
        )
        return [held for held in items if len(held.taken.message) <= most]


def _suits(child: Child) -> tuple[int, bool]:
    """Which is the right one: with most room; where none has any, rather one that is not about to be replaced."""
    return child.room(), child.wear is None or not child.wear.why

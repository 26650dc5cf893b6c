"""Walks through a queue in looks of bounded size, round after round, and remembers first looks (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .command import Command
from .commands.repairs import Repair, Repaired, RepairItem
from .commands.sweep import WAITING, Doubtful, Source, Survey, survey
from .keys import queue_keys
from .words import Offset

SECOND_LOOK = 4.0
"""Seconds after which a task that is active without a lease, and without a worker, is looked at again, unless told otherwise."""

FORGET = 120.0
"""Seconds after which a first look is forgotten."""

_TOGETHER = 16
"""Places that one look may go through."""


class Walk:
    """Where a survey of one queue stands.

    Every look sees `active`, page by page, and goes on through the waiting places where the last one stopped,
    then through the aggregation groups. `rounds` counts how often it has seen everything.
    """

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self.rounds = 0
        self.is_amid_active = False
        """Whether there are active tasks that the last look did not come to."""
        self._active = 0
        self._lease = 0
        self._start()

    def _start(self) -> None:
        self._sources = [Source(place) for place in WAITING]
        self._cursor: str | None = "0"
        """Where to go on in the groups; None: this round has seen all of them."""

    def look(self) -> Command[Survey]:
        """The next look; its reply goes to `take`."""
        asks = self._cursor if self._cursor is not None and len(self._sources) < _TOGETHER else ""
        self._asked = self._sources[:_TOGETHER]
        return survey(self._queue, self._asked, active=self._active, lease=self._lease, cursor=asks)

    def take(self, found: Survey) -> None:
        """Go on from there."""
        self._active, self._lease = found.next_active, found.next_lease
        self.is_amid_active = bool(self._active or self._lease)
        left = [
            Source(source.place, offset if offset > 0 else source.offset, source.group)
            for source, offset in zip(self._asked, found.offsets, strict=True)
            if offset != Offset.AT_END
        ]
        groups = [Source("aggregating", 0, name) for name in found.groups]
        self._sources = left + self._sources[len(self._asked) :] + groups
        if found.cursor:
            self._cursor = None if found.cursor == "0" else found.cursor
        if not self._sources and self._cursor is None:
            self.rounds += 1
            self._start()

    def note(self, repaired: Repaired) -> None:
        """Go back by one in the place that a task was taken out of: those behind it have moved up, and one would be skipped."""
        where = repaired.item.where
        if repaired.repair is Repair.MENDED and repaired.detail in (where, "aggregating"):
            return
        if repaired.repair not in (Repair.ORPHANED, Repair.GIVEN_BACK, Repair.MENDED):
            return
        if where == "active":
            self._active = max(self._active - 1, 0)
        self._sources = [
            replace(source, offset=source.offset - 1)
            if source.offset and self._key(source) == where
            else source
            for source in self._sources
        ]

    def _key(self, source: Source) -> str:
        return queue_keys(self._queue).group(source.group) if source.group else source.place


class FirstLooks:
    """The tasks that were seen active without a lease and a worker: when, and with which message.

    A task that is still so some seconds later, with the same message, is broken: taking a task is one atomic step, in Go too, so
    that nobody is in the middle of taking it.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, str]] = {}
        """Since when, on the clock of `now`, and the fingerprint."""

    def items(
        self, doubtful: Iterable[Doubtful], now: float, after_seconds: float = SECOND_LOOK
    ) -> list[RepairItem]:
        """What to repair, each with the fingerprint of a first look that is old enough."""
        self._seen = {one: look for one, look in self._seen.items() if now - look[0] < FORGET}
        items = []
        for one in dict.fromkeys(doubtful):
            since, fingerprint = self._seen.get(one.id, (now, ""))
            seen = fingerprint if now - since >= after_seconds else ""
            items.append(RepairItem(one.id, one.where, seen))
        return items

    def note(self, repaired: Repaired, now: float) -> None:
        """Remember a first look; forget what is repaired, or has changed since."""
        known = self._seen.get(repaired.item.id)
        if repaired.repair is not Repair.UNLEASED:
            self._seen.pop(repaired.item.id, None)
        elif known is None or known[1] != repaired.detail:
            self._seen[repaired.item.id] = (now, repaired.detail)

"""Sweep: look for what is broken in a queue, and put it right.

Looking is quick and changes nothing; `repair` looks again at whatever was found, and decides atomically.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...connection.topology import Address
from ..builder import builder, item_of
from ..command import Command, Plain
from ..keys import queue_keys
from ..words import Stored
from .inspect import text
from .maintenance import EFFORT
from .once import once
from .queues import Scanned
from .repairs import Repair, Repaired, RepairItem

PAGE = 200
"""Ids of each kind that one look goes through."""

BATCH = 100
"""The most ids that one script call repairs, locks that it looks at, or tasks that it reads."""

TRIAL_SECONDS = 8
"""An active task without a lease gets one of so many seconds if it names a worker: a worker that lives extends it in time."""

REACH = 50_000
"""How many entries from each end of `pending` and `active` are looked through for an id."""

NEAR = 2_000
"""The same where the whole lists have just been read: only what came since must be looked for, and it stands near an end."""

NOWHERE = "nowhere"
"""In the place of a place: of a task that is known to stand in none."""

WAITING = ("pending", "scheduled", "retry", "archived", "completed")
"""The places, besides `active`, that every queue has."""

_build_survey = builder("survey", "active_offset lease_offset group_cursor", limit=PAGE)
_build_repair = builder("repair", "answer dry trial_seconds", reach=REACH, near=NEAR, effort_limit=EFFORT)
_build_reclaim = builder("reclaim", "answer", limit=PAGE)
_build_release_locks = builder("release_locks", "answer dry")
_build_read_states = builder("read_states")
_source, _item = item_of("survey"), item_of("repair")


@dataclass(frozen=True, slots=True)
class Source:
    """A place that is looked through, and from where on. `group` is empty unless it is an aggregation group's."""

    place: str
    offset: int = 0
    group: str = ""


@dataclass(frozen=True, slots=True)
class Doubtful:
    """An id that is perhaps not as it should be, and where it was found: a place, or the key of a group."""

    id: str
    where: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What a look has found, and where the next goes on.

    Args:
        next_active: offset in `active`, or `Offset.AT_END`.
        next_lease: likewise.
        cursor: of the groups; "0" at the end, empty when they were not asked for.
        offsets: for each source where to go on, or an `Offset`.
        doubtful: ids to be repaired.
        groups: aggregation groups with tasks.
        empty_groups: groups that are listed and have none.
        stale_sets: how many registrations of aggregation sets are past their time, or stand for nothing.
        broken: keys of a wrong type.
    """

    next_active: int
    next_lease: int
    cursor: str
    offsets: list[int]
    doubtful: list[Doubtful]
    groups: list[str]
    empty_groups: list[str]
    stale_sets: int
    broken: list[str]


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """Tasks that went back to their groups, ids without one, and registrations and groups that were forgotten."""

    moved: int
    orphaned: int
    sets: int
    groups: int

    def __bool__(self) -> bool:
        """Whether anything was done."""
        return bool(self.moved or self.orphaned or self.sets or self.groups)


@dataclass(frozen=True, slots=True)
class StoredFacts:
    """What a task's hash says. `is_hash` is False where its key is of another type."""

    exists: bool
    is_hash: bool
    has_message: bool
    state: str
    group: str


def survey(
    queue: str, sources: Sequence[Source], *, active: int = 0, lease: int = 0, cursor: str = ""
) -> Command[Survey]:
    """Look at a page of `active`, and at a page of the sources together. `cursor` "0" starts with the groups."""
    keys = queue_keys(queue)
    names: list[str] = []
    words: list[Any] = []
    for source in sources:
        names.append(keys.group(source.group) if source.group else keys.state(source.place))
        words += _source(place=source.place, offset=source.offset, group=source.group)
    return _build_survey(
        keys, _survey, names, words, active_offset=active, lease_offset=lease, group_cursor=cursor
    )


def repair(
    queue: str, items: Sequence[RepairItem], *, dry: bool = False, trial: int = TRIAL_SECONDS
) -> Command[list[Repaired]]:
    """Put tasks right; the reply is about the first of them, the others are to be given again.

    With `dry` nothing is written, and the outcomes say what would be done. `trial`: the seconds of a lease that a living worker
    has to extend.
    """
    keys = queue_keys(queue)
    given = list(items[:BATCH])
    words = [
        word
        for item in given
        for word in _item(id=item.id, where=item.where, seen=item.seen, expires_at=item.expires_at)
    ]
    return once(
        _build_repair,
        keys,
        _repaired(given),
        [keys.task(item.id) for item in given],
        words,
        dry=int(dry),
        trial_seconds=trial,
    )


def reclaim(queue: str, empty_groups: Sequence[str] = ()) -> Command[Reclaimed]:
    """Give tasks of stale aggregation sets back to their groups, and forget what is empty.

    Repeat until nothing is done.
    """
    keys = queue_keys(queue)
    return once(_build_reclaim, keys, lambda reply: Reclaimed(*reply), words=empty_groups)


def release_locks(queue: str, locks: Sequence[str], *, dry: bool = False) -> Command[list[bool]]:
    """Delete the unique locks whose task is gone or does not hold them; for each whether it is such a one."""
    keys = queue_keys(queue)
    return once(_build_release_locks, keys, lambda reply: [bool(one) for one in reply], locks, dry=int(dry))


def read_states(queue: str, ids: Sequence[str]) -> Command[list[StoredFacts]]:
    """Read what tasks say of themselves."""
    keys = queue_keys(queue)
    return _build_read_states(keys, _facts, [keys.task(one) for one in ids])


def scan(
    pattern: str, cursor: str, *, node: Address | None = None, slot: int | None = None
) -> Plain[Scanned]:
    """Look for keys on one node; cursor "0" starts, and ends."""
    words = ("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
    return Plain(words, lambda reply: Scanned(reply[0].decode(), reply[1]), slot, node)


def _survey(reply: list[Any]) -> Survey:
    active, lease, cursor, offsets, doubtful, groups, empty, stale, broken = reply
    names = [text(one) for one in doubtful]
    return Survey(
        active,
        lease,
        cursor.decode(),
        offsets,
        [Doubtful(task_id, where) for task_id, where in zip(names[::2], names[1::2], strict=True)],
        [text(name) for name in groups],
        [text(name) for name in empty],
        stale,
        [text(name) for name in broken],
    )


def _repaired(items: Sequence[RepairItem]) -> Callable[[list[bytes]], list[Repaired]]:
    def parse(reply: list[bytes]) -> list[Repaired]:
        pairs = zip(reply[::2], reply[1::2], strict=True)
        return [
            Repaired(item, Repair(kind.decode()), text(detail))
            for item, (kind, detail) in zip(items, pairs, strict=False)
        ]

    return parse


def _facts(reply: list[Any]) -> list[StoredFacts]:
    return [
        StoredFacts(
            kind != Stored.NOTHING,
            kind in (Stored.TASK, Stored.NO_MESSAGE),
            kind == Stored.TASK,
            text(state),
            text(group),
        )
        for kind, state, group in zip(reply[::3], reply[1::3], reply[2::3], strict=True)
    ]

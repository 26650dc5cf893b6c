"""A queue as it is stored, and what must hold of it (pure).

The rules: a task stands in exactly one place, the one that its state names; it is active if and only if it
has a lease; an aggregation group with tasks is listed, a set of one is registered; the holder of a lock exists
and names it; a key of ours has an owner or an end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ...broker.commands.sweep import StoredFacts
from ...broker.keys import is_lasting, queue_keys

PENDING, ACTIVE, SCHEDULED, RETRY, ARCHIVED, COMPLETED, GROUP, SET, LEASE = (1 << bit for bit in range(9))

PLACES: Mapping[str, int] = {
    "pending": PENDING,
    "active": ACTIVE,
    "scheduled": SCHEDULED,
    "retry": RETRY,
    "archived": ARCHIVED,
    "completed": COMPLETED,
}
"""The places with a key of their own, which is also the name of the state."""

TYPES: Mapping[str, str] = {
    "pending": "list",
    "active": "list",
    "lease": "zset",
    "scheduled": "zset",
    "retry": "zset",
    "archived": "zset",
    "completed": "zset",
    "groups": "set",
    "aggregation_sets": "zset",
}
"""The type of each key of a queue, by its last part."""


class Inconsistency(StrEnum):
    """What can be wrong with a task."""

    ID_WITHOUT_TASK = "id-without-task"
    NOT_A_TASK = "not-a-task"
    TASK_WITHOUT_ID = "task-without-id"
    ACTIVE_WITHOUT_LEASE = "active-without-lease"
    LEASE_WITHOUT_ACTIVE = "lease-without-active"
    SEVERAL_PLACES = "several-places"
    WRONG_STATE = "wrong-state"
    WRONG_GROUP = "wrong-group"


@dataclass(slots=True)
class QueueImage:
    """Everything that is stored under a queue's name, but the tasks themselves.

    Args:
        queue: its name.
        server_time: Unix seconds, by the server's clock.
        stands: for each id the places where it stands, as bits.
        doubled: ids that stand twice in one list.
        group_of: for each id in an aggregation group or set its group's name.
        groups: the groups that are listed.
        group_keys: the key of each group or set that exists, and the group that its tasks name, if they do.
        registrations: the registered aggregation sets, each with its end (Unix seconds).
        wrong_types: keys of a wrong type, each with what it is and what it should be.
        locks: the unique locks, each with the task that holds it.
        own: our own keys, each with its time to live in seconds, -1 for ever.
    """

    queue: str
    server_time: float = 0.0
    stands: dict[str, int] = field(default_factory=dict)
    doubled: set[str] = field(default_factory=set)
    group_of: dict[str, str] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)
    group_keys: dict[str, str] = field(default_factory=dict)
    registrations: dict[str, float] = field(default_factory=dict)
    wrong_types: list[tuple[str, str, str]] = field(default_factory=list)
    locks: dict[str, str] = field(default_factory=dict)
    own: dict[str, int] = field(default_factory=dict)

    def add(self, ids: Iterable[str], place: int, group: str = "") -> None:
        """Ids stand in a place."""
        for one in ids:
            known = self.stands.get(one, 0)
            if known & place:
                self.doubled.add(one)
            self.stands[one] = known | place
            if group:
                self.group_of[one] = group

    def where(self, task_id: str) -> str:
        """A place where an id stands: its name, or the key of its group; empty for none."""
        stands = self.stands.get(task_id, 0)
        if stands & (GROUP | SET):
            return queue_keys(self.queue).group(self.group_of[task_id])
        names = [name for name, bit in PLACES.items() if stands & bit]
        return names[0] if names else "lease" if stands & LEASE else ""


def inconsistencies(image: QueueImage, task_id: str, facts: StoredFacts) -> list[Inconsistency]:
    """What is wrong with a task.

    Example:
        >>> image = QueueImage("q", stands={"t": ACTIVE})
        >>> inconsistencies(image, "t", StoredFacts(True, True, True, "active", ""))
        [<Inconsistency.ACTIVE_WITHOUT_LEASE: 'active-without-lease'>]
    """
    stands = image.stands.get(task_id, 0)
    if not facts.has_message:
        if facts.exists:
            return [Inconsistency.NOT_A_TASK]
        return [Inconsistency.ID_WITHOUT_TASK] if stands else []
    if not stands:
        return [Inconsistency.TASK_WITHOUT_ID]
    found = []
    if stands & ACTIVE and not stands & LEASE:
        found.append(Inconsistency.ACTIVE_WITHOUT_LEASE)
    if stands & LEASE and not stands & ACTIVE:
        found.append(Inconsistency.LEASE_WITHOUT_ACTIVE)
    places = stands & ~LEASE
    if places.bit_count() > 1 or task_id in image.doubled:
        found.append(Inconsistency.SEVERAL_PLACES)
    named = GROUP | SET if facts.state == "aggregating" else PLACES.get(facts.state, 0)
    if places and not places & named:
        found.append(Inconsistency.WRONG_STATE)
    if places & GROUP and facts.group != image.group_of[task_id]:
        found.append(Inconsistency.WRONG_GROUP)
    return found


_SET_NAME = re.compile(r":[0-9a-fA-F-]{36}")


def is_set_of(name: str, group: str) -> bool:
    """Whether what is named like a group is a set of `group`, which its tasks name as theirs.

    Example:
        >>> is_set_of("mail:5b1e1c1e-8a52-4b0a-9d59-0a5a3ce7b9d4", "mail")
        True
    """
    return group != "" and name.startswith(group) and _SET_NAME.fullmatch(name, len(group)) is not None


def unlisted_groups(image: QueueImage) -> Iterator[tuple[str, str]]:
    """Groups with tasks that nobody knows of, and sets that nobody will reclaim: key, and the group it belongs to.

    The key of a set is its group's, a colon and a UUID; what its tasks name as their group tells it from a
    group with such a name.
    """
    keys = queue_keys(image.queue)
    for key, named in image.group_keys.items():
        name = key.removeprefix(keys.group(""))
        if key not in image.registrations and name not in image.groups:
            yield key, named if is_set_of(name, named) else name


def stale_sets(image: QueueImage) -> list[str]:
    """Registered sets that nobody finished in time, or that do not exist."""
    return [
        key
        for key, until in image.registrations.items()
        if key not in image.group_keys or until <= image.server_time
    ]


def empty_groups(image: QueueImage) -> list[str]:
    """Groups that are listed and have no tasks."""
    keys = queue_keys(image.queue)
    return sorted(name for name in image.groups if keys.group(name) not in image.group_keys)


def endless_keys(image: QueueImage) -> list[str]:
    """Keys of ours that nobody owns and that never end."""
    prefix = queue_keys(image.queue).own
    return sorted(
        key for key, ttl in image.own.items() if ttl < 0 and not is_lasting(key.removeprefix(prefix))
    )

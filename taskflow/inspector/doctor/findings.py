"""What an examination has read of a queue, and the findings that follow from it (pure)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ...broker.commands.repairs import Repair, Repaired, RepairItem
from .image import QueueImage, empty_groups, endless_keys, stale_sets, unlisted_groups
from .values import Finding, Severity

MOST_EXAMPLES = 5

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING

PROBLEMS: dict[Repair, tuple[Severity, str, str]] = {
    Repair.ORPHANED: (_WARNING, "id-without-task", "ids stand where there is no task"),
    Repair.RESTORED: (_ERROR, "task-without-id", "tasks stand in no place, so nobody will ever run them"),
    Repair.UNLEASED: (
        _ERROR,
        "active-without-lease",
        "tasks are active without a lease, so nobody takes them over",
    ),
    Repair.LEASED: (
        _ERROR,
        "active-without-lease",
        "tasks are active without a lease, so nobody takes them over",
    ),
    Repair.LISTED: (_WARNING, "lease-without-active", "tasks have a lease and are not listed as active"),
    Repair.MENDED: (
        _WARNING,
        "wrong-place",
        "tasks have a state that does not name the one place where they stand",
    ),
}

FIX = "`taskflow doctor --fix`, or any running worker of the queue, puts it right"
FIX_ONLY = "`taskflow doctor --fix` puts it right"


@dataclass(slots=True)
class Case:
    """A queue under examination: what was read, and what is to be put right."""

    queue: str
    image: QueueImage
    items: list[RepairItem] = field(default_factory=list)
    locks: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    late: int = 0


def task_findings(case: Case, confirmed: Sequence[Repaired], where: str) -> Iterable[Finding]:
    """What is wrong with tasks, as the script that looked again has confirmed."""
    merged: dict[tuple[Severity, str, str], list[str]] = defaultdict(list)
    for kind, some in by_repair(confirmed).items():
        if kind in PROBLEMS:
            merged[PROBLEMS[kind]] += [repaired.item.id for repaired in some]
        elif kind is Repair.FAILED:
            yield finding(
                (_ERROR, "cannot-tell", f"tasks cannot be looked at ({some[0].detail})"),
                [repaired.item.id for repaired in some],
                where,
                "look at the types of the queue's keys",
            )
    for problem, ids in merged.items():
        remedy = FIX_ONLY if problem[1] == "task-without-id" else FIX
        yield replace(finding(problem, ids, where, remedy), is_fixable=True)


def key_findings(case: Case, where: str) -> Iterable[Finding]:
    """What is wrong with the queue's keys."""
    image = case.image
    for key, kind, wanted in image.wrong_types:
        yield finding(
            (_ERROR, "wrong-type", f"somebody else wrote a key: it is a {kind}, not a {wanted}"),
            [key],
            where,
            "find out who; rename or delete it",
        )
    lists: list[tuple[Severity, str, str, list[str], str]] = [
        (
            _WARNING,
            "not-a-task",
            "keys of tasks are no hashes; somebody else wrote them",
            case.strangers,
            "find out who; rename or delete them",
        ),
        (
            _ERROR,
            "unlisted-group",
            "aggregation groups or sets have tasks, and nobody knows of them",
            [key for key, _ in unlisted_groups(image)],
            FIX_ONLY,
        ),
        (
            _WARNING,
            "empty-group",
            "aggregation groups are listed and have no tasks",
            empty_groups(image),
            FIX,
        ),
        (
            _ERROR,
            "stale-set",
            "aggregations were begun and not finished in time, and their tasks wait",
            stale_sets(image),
            FIX,
        ),
        (
            _WARNING,
            "dangling-lock",
            "unique locks have no task that owns them, and keep others out until they end",
            case.locks,
            FIX_ONLY,
        ),
        (
            _WARNING,
            "endless-key",
            "keys of ours have neither an owner nor an end",
            endless_keys(image),
            "a newer release may have written them; if none runs, delete them",
        ),
    ]
    for severity, code, what, items, remedy in lists:
        if items:
            fixable = remedy in (FIX, FIX_ONLY)
            yield replace(finding((severity, code, what), items, where, remedy), is_fixable=fixable)
    if case.late:
        yield Finding(
            _ERROR,
            "lease-ended",
            "tasks lost their worker more than a minute ago, and nobody has taken them over",
            where,
            "start a worker for the queue; `taskflow doctor --fix` makes the tasks pending again",
            case.late,
            is_fixable=True,
        )


def by_repair(repaired: Iterable[Repaired]) -> dict[Repair, list[Repaired]]:
    """Sort by what the script said."""
    found: dict[Repair, list[Repaired]] = defaultdict(list)
    for one in repaired:
        found[one.repair].append(one)
    return found


def finding(problem: tuple[Severity, str, str], items: Sequence[str], where: str, remedy: str) -> Finding:
    """A finding about some ids or keys, of which a few are named."""
    severity, code, what = problem
    return Finding(severity, code, what, where, remedy, len(items), tuple(items[:MOST_EXAMPLES]))


def unread(where: str, reason: object) -> Finding:
    """The finding that something could not be read."""
    what = f"it could not be examined: {reason}"
    return Finding(_ERROR, "unreadable", what, where, "see the findings about nodes")

"""What may be wrong with a task, what was done about it, and how that is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Repair(StrEnum):
    """What was wrong with a task, and what was done about it."""

    FINE = "fine"
    ORPHANED = "orphaned"
    """The id had no task: it is noted in `orphans`."""
    RESTORED = "restored"
    """The task stood nowhere: it is back where its state says, or in pending."""
    UNLEASED = "unleased"
    """It is active without a lease, and no worker of ours has it: to be looked at a second time."""
    GIVEN_BACK = "given_back"
    """It was so at the second look: back to pending."""
    LEASED = "leased"
    """It was active without a lease, and names a worker, which has some seconds to show that it lives."""
    LISTED = "listed"
    """It has a lease and did not stand in `active`."""
    MENDED = "mended"
    """Its state did not name its place, or it stood in several."""
    UNCLEAR = "unclear"
    """The list where it may stand is too long to tell; it is looked at again when it comes up."""
    FAILED = "failed"
    """A key has a wrong type."""

    def sentence(self, count: int) -> str:
        """What was done to so many, for logs and commands."""
        return f"{count} {_SENTENCES[self][count != 1]}"


_SENTENCES: Mapping[Repair, tuple[str, str]] = {
    Repair.FINE: ("task is as it should be", "tasks are as they should be"),
    Repair.ORPHANED: (
        "id had no task and is kept among the queue's orphans",
        "ids had no task and are kept among the queue's orphans",
    ),
    Repair.RESTORED: (
        "task stood in no place and is back where it belongs",
        "tasks stood in no place and are back where they belong",
    ),
    Repair.UNLEASED: (
        "task is active without a lease and will be looked at again",
        "tasks are active without a lease and will be looked at again",
    ),
    Repair.GIVEN_BACK: (
        "task was active without a lease and is pending again",
        "tasks were active without a lease and are pending again",
    ),
    Repair.LEASED: (
        "task was active without a lease and has one again, for a moment: if its worker lives, it keeps it",
        "tasks were active without a lease and have one again, for a moment: if their worker lives, it keeps them",
    ),
    Repair.LISTED: (
        "task had a lease, was not listed as active, and is again",
        "tasks had a lease, were not listed as active, and are again",
    ),
    Repair.MENDED: (
        "task had a state that did not name its place, and has one place again",
        "tasks had a state that did not name their place, and have one place again",
    ),
    Repair.UNCLEAR: (
        "task may stand in a list that is too long to tell",
        "tasks may stand in a list that is too long to tell",
    ),
    Repair.FAILED: (
        "task cannot be put right; `taskflow doctor` says why",
        "tasks cannot be put right; `taskflow doctor` says why",
    ),
}


@dataclass(frozen=True, slots=True)
class RepairItem:
    """A task to be repaired.

    `seen` is its fingerprint from an earlier look. `expires_at` is until when (Unix seconds) it is kept if it is
    completed and stands nowhere.
    """

    id: str
    where: str
    seen: str = ""
    expires_at: int = 0


@dataclass(frozen=True, slots=True)
class Repaired:
    """What became of one; `detail` is its fingerprint (unleased), the error (failed), or its state."""

    item: RepairItem
    repair: Repair
    detail: str

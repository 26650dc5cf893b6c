"""What an examination gives: findings, and what was done about them (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """Tasks are stuck, lost or refused, or will be."""
    WARNING = "warning"
    """It works now, and something is wrong."""
    NOTE = "note"
    """Worth knowing; it may be what you want. Notes alone are no reason to call the place unwell."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong.

    Args:
        severity: how bad it is.
        code: a stable name of the kind.
        what: what is wrong, as a sentence.
        where: the queue, or the node.
        remedy: what to do.
        count: how many tasks, keys or ids it is about.
        examples: some of them.
        is_fixable: whether `--fix` puts it right.
    """

    severity: Severity
    code: str
    what: str
    where: str
    remedy: str
    count: int = 1
    examples: tuple[str, ...] = ()
    is_fixable: bool = False


@dataclass(frozen=True, slots=True)
class Fix:
    """Something that was put right."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result: what is wrong (still, after fixing), what was fixed, and what was looked at."""

    findings: tuple[Finding, ...]
    fixes: tuple[Fix, ...]
    queues: tuple[str, ...]
    nodes: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Whether there is nothing but notes."""
        return all(finding.severity is Severity.NOTE for finding in self.findings)

"""What a run came to: the numbers, and what is wrong with them (pure)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Report:
    """One run.

    Args:
        name: of its plan.
        seconds: how long producers enqueued.
        attempts, ok, failed, unknown: calls of producers, by outcome.
        lost, doubled, unexpected, recovered, contradicted, archived: see `classify.Classified`; tags.
        repeated: tasks that started more than once.
        unexplained: those of `repeated` that no blow had hit.
        refused: late verdicts that workers reported as refused.
        lease_losses: tasks that were given back because their lease had ended.
        drained: seconds until every queue was empty after the load; None: it never was.
        left: what was in the queues when it gave up.
        strikes: blows by nemesis.
        failures: blows that failed, in words.
        errors: exceptions that producers saw, by type.
        faults: by script, how often a call passed and how often it met a fault of the proxy.
        problems: what the fleet, producers or the harness complained about.
        measured: further numbers of the scenario.
        may_lose: whether the run promises nothing about losses: a master dies, and nobody had waited for its replica.
        where: with what it was measured, and when.
        autopsies: of lost tasks: when they were asked for and answered, what the servers still know.
    """

    name: str
    seconds: float = 0.0
    attempts: int = 0
    ok: int = 0
    failed: int = 0
    unknown: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)
    contradicted: list[str] = field(default_factory=list)
    archived: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    refused: int = 0
    lease_losses: int = 0
    drained: float | None = None
    left: dict[str, dict[str, int]] = field(default_factory=dict)
    strikes: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    faults: dict[str, dict[str, int]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    measured: dict[str, float] = field(default_factory=dict)
    may_lose: bool = False
    where: str = ""
    autopsies: list[str] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1, sort_keys=True))

    @property
    def kept(self) -> bool:
        """Whether the promise was kept."""
        return not wrong(self)


def load(path: Path) -> Report:
    """A report that was saved."""
    return Report(**json.loads(path.read_text()))


def wrong(report: Report) -> list[str]:
    """What breaks the promise, in words; empty: it was kept.

    At least once: a doubled task that a blow explains is no fault.
    """
    unexplained = sorted(set(report.doubled) & set(report.unexplained))
    found = {
        "lost": [] if report.may_lose else report.lost,
        "ran although nobody had asked": report.unexpected,
        "ran although their producer was told that they were refused": report.contradicted,
        "archived": report.archived,
        "ended more than once without any blow": unexplained,
    }
    sentences = [f"{len(tags)} tasks {what}: {', '.join(tags[:5])}" for what, tags in found.items() if tags]
    if report.drained is None:
        sentences.append(f"the queues did not drain: {report.left}")
    if not report.ok:
        sentences.append("no task was acknowledged at all: the run shows nothing")
    return sentences + report.problems


def summary(report: Report) -> str:
    """The run in a few lines, for a terminal."""
    lines = [
        f"{report.name}: {report.attempts} asked in {report.seconds:.0f} s, {report.ok} ok, "
        f"{report.failed} refused, {report.unknown} unknown ({_counts(report.errors) or 'no errors'})",
        f"  lost {len(report.lost)}, doubled {len(report.doubled)} (without a blow: "
        f"{len(set(report.doubled) & set(report.unexplained))}), unexpected {len(report.unexpected)}, "
        f"recovered {len(report.recovered)}, contradicted {len(report.contradicted)}, archived {len(report.archived)}",
        f"  started again {len(report.repeated)} (without a blow: {len(report.unexplained)}), "
        f"late verdicts refused {report.refused}, leases lost {report.lease_losses}, "
        + (
            f"drained in {report.drained:.1f} s"
            if report.drained is not None
            else f"NOT DRAINED: {report.left}"
        ),
        f"  blows: {_counts(report.strikes) or 'none'}",
    ]
    if report.measured:
        lines.append("  " + ", ".join(f"{name} {value:.2f}" for name, value in report.measured.items()))
    for script, counts in sorted(report.faults.items()):
        lines.append(f"  {script:>16}: {_counts(counts)}")
    lines += [f"  failed blow: {text}" for text in report.failures[:5]]
    lines += [f"  WRONG: {text}" for text in wrong(report)]
    lines += [f"  {text}" for text in report.autopsies[:10]]
    return "\n".join(lines)


def _counts(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))

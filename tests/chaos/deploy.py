"""Rolling deploys: workers are told to end and replaced, one after the other, and again, under load.

Stricter than at least once: a task runs again only if the grace cut it off, and none ends twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .classify import Story, Strike, cut_off, gather, strikes_in
from .fleet import WorkerOptions
from .ledger import read
from .report import Report
from .run import Plan, run

GRACE = 3.0
"""Seconds: some tasks take twice as long."""


def plan(
    *, seconds: float, seed: int = 1, workers: int = 4, grace: float = GRACE, rate: float = 100.0
) -> Plan:
    """Every 1 to 3 seconds a worker is told to end."""
    return Plan(
        "deploys",
        seconds=seconds,
        rate=rate,
        mix="deploy",
        nemeses={"worker-term": (1.0, 3.0)},
        workers=WorkerOptions(count=workers, concurrency=10, processes=1, grace=grace),
        seed=seed,
    )


def measure(plan: Plan, directory: Path) -> Report:
    """One run."""
    with run(plan, directory) as running:
        running.begin()
        running.await_work()
        running.strike(plan.seconds)
        report = running.end()
        entries = list(read(directory))
        stories = gather(entries)
        deploys = strikes_in(entries)
        again = {tag: stories[tag] for tag in report.repeated}
        report.measured = {"tasks cut off by the grace": float(len(again))}
        report.problems += broken_rules(again, deploys, plan.workers.grace)
        if report.doubled:
            report.problems.append(f"{len(report.doubled)} tasks ended twice: {report.doubled[:5]}")
        report.save(directory / "report.json")
        return report


def broken_rules(again: Mapping[str, Story], deploys: list[Strike], grace: float) -> list[str]:
    """Tasks that ran again although the grace had not cut them off, in words (pure)."""
    needless = [tag for tag, story in again.items() if not cut_off(story, deploys, grace)]
    return [f"{len(needless)} tasks ran again that no grace had cut off: {needless[:5]}"] if needless else []

"""The page of measured results, made from reports."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import redis

from taskflow._version import __version__
from taskflow.embedded.binary import find_binary

from .failover import ALLOWED
from .nemeses import ALL
from .report import Report, wrong
from .scenarios import SCENARIOS, Settings

_HEAD = """\
# What happens when things die: measured

Made by `python -m tests.chaos --report docs/chaos-results.md`; do not edit. Producers and handlers write every attempt,
start and end to files outside the tested server. At the end everything is healed, workers drain the queues, and the two
sides are compared:

- **lost**: the producer's call had returned, and no handler ever ended. **doubled**: a handler ended twice; *without a
  blow* counts those that nothing had hit while they ran. **unexpected**: a handler ended, and nobody had asked.
- **unknown**: the producer's call raised after the task may have been sent; **recovered**: of those, the ones that ran.
  **contradicted**: the producer was told that the task was refused, and it ran.
- **refused**: late verdicts of workers that had lost their task. **leases**: tasks that waited for the end of a lease.
- **drain**: seconds from the last call until every queue was empty. A run that does not drain is a failure.
"""


def document(reports: Mapping[str, Sequence[Report]], settings: Settings) -> str:
    """The whole page."""
    parts = [_HEAD, *_machine()]
    for name, several in reports.items():
        parts.append(f"\n## {name}\n\n{(SCENARIOS[name].__doc__ or _FAILOVER).strip()}\n")
        parts += _failovers(several) if name.startswith("failover") else _runs(several)
        parts += [f"- **{report.name}**: {text}" for report in several for text in wrong(report)]
    parts += ["\n## The nemeses\n", *(f"- `{name}`: {kind.description}." for name, kind in ALL.items())]
    parts.append(f"\nSeed {settings.seed}; times, and so the order of events, differ from run to run.")
    return "\n".join(parts) + "\n"


_FAILOVER = f"""\
Six nodes, `cluster-node-timeout` 5000. Python producers enqueue 500 tasks a second into one queue; its master is killed
(`kill -9`) and comes back after a replica was promoted. *Promotion* is from the kill until a replica answers as master;
producers and workers may stand still for that long plus {ALLOWED} s."""


def _machine() -> Iterator[str]:
    server = subprocess.run([find_binary(), "--version"], capture_output=True, text=True, check=True).stdout
    commit = subprocess.run(
        ["git", "-C", Path(__file__).parent, "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    yield (
        f"\nMeasured on {datetime.now(UTC):%Y-%m-%d} with taskflow {__version__} ({commit or 'no commit'}), "
        f"{server.split(' sha')[0].strip()}, redis-py {redis.__version__}, Python {platform.python_version()}, "
        f"on {os.cpu_count()} cores ({platform.machine()}, {platform.system()}). Servers, producers and workers share "
        "them, and the machine was not otherwise idle: take the times as upper bounds, the counts as counts."
    )


def _failovers(reports: Sequence[Report]) -> Iterator[str]:
    yield (
        "| run | asked | lost | doubled | exceptions | promotion | longest call | producers still | workers still "
        "| others' pace |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for number, report in enumerate(reports, 1):
        found = report.measured
        others = found["others' pace"]
        yield (
            f"| {number} | {report.attempts} | {len(report.lost)} | {len(report.doubled)} | {_errors(report)} "
            f"| {found['promotion']:.2f} s | {found['longest call']:.2f} s | {found['producers still']:.2f} s "
            f"| {found['workers still']:.2f} s | {others:.0%} |"
        )


def _runs(reports: Sequence[Report]) -> Iterator[str]:
    yield (
        "| run | time | asked | blows | lost | doubled (without a blow) | unexpected | unknown, recovered "
        "| contradicted | refused | leases | drain |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|"
    for report in reports:
        strange = len(set(report.doubled) & set(report.unexplained))
        drain = "never" if report.drained is None else f"{report.drained:.0f} s"
        blows = ", ".join(f"{count} {name}" for name, count in report.strikes.items()) or "-"
        yield (
            f"| {report.name} | {report.seconds:.0f} s | {report.attempts} | {blows} | {len(report.lost)} "
            f"| {len(report.doubled)} ({strange}) | {len(report.unexpected)} | {_errors(report)}, "
            f"{len(report.recovered)} | {len(report.contradicted)} | {report.refused} | {report.lease_losses} | {drain} |"
        )
    for report in reports:
        if report.faults and any(len(counts) > 1 for counts in report.faults.values()):
            yield from _faults(report)


def _faults(report: Report) -> Iterator[str]:
    """How often each script met a fault of the proxy."""
    yield f"\nCalls of each script in {report.name}:\n"
    kinds = list(dict.fromkeys(kind for counts in report.faults.values() for kind in counts))
    yield f"| script | {' | '.join(kinds)} |"
    yield "|---" * (len(kinds) + 1) + "|"
    for script, counts in sorted(report.faults.items()):
        yield f"| {script} | {' | '.join(str(counts.get(kind, 0)) for kind in kinds)} |"
    yield ""


def _errors(report: Report) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(report.errors.items())) or "0"

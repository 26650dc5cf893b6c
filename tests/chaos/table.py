"""The tables of measured results, made from reports (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from .nemeses import ALL
from .report import Report, wrong


def update(page: str, reports: Mapping[str, Sequence[Report]]) -> str:
    """A page with these results in the places that are marked for them; its other parts as they are.

    A place is what stands between `<!-- chaos:NAME -->` and `<!-- /chaos:NAME -->`.

    Raises:
        LookupError: the page has no place for a scenario.
    """
    for name, several in reports.items():
        begin, end = f"<!-- chaos:{name} -->", f"<!-- /chaos:{name} -->"
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise LookupError(f"the page has no place for {name}: {begin} and {end}")
        page = f"{before}{begin}\n{section(name, several)}\n{end}{after}"
    return page


def section(name: str, reports: Sequence[Report]) -> str:
    """What is said of one scenario."""
    table = _failovers(reports) if name.startswith("failover") else _runs(reports)
    notes = [f"- **{report.name}**: {text}" for report in reports for text in wrong(report)]
    if any("stale writes" in report.measured for report in reports):
        notes.append(
            "- stale writes: " + ", ".join(f"{report.measured['stale writes']:g}" for report in reports)
        )
    if not name.startswith("failover"):
        notes += [
            f"- {report.name}: {what} {value:g}"
            for report in reports
            for what, value in report.measured.items()
        ]
    where = f"*{'; '.join(dict.fromkeys(report.where for report in reports))}.*"
    return "\n".join([*table, "", *notes, *([""] if notes else []), where])


def nemeses() -> str:
    """What each nemesis does."""
    return "\n".join(f"- `{name}`: {kind.description}." for name, kind in ALL.items())


def _failovers(reports: Sequence[Report]) -> Iterator[str]:
    yield (
        "| run | asked | lost | doubled | exceptions | promotion | longest call | producers still | workers still "
        "| others' pace | drain |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for number, report in enumerate(reports, 1):
        found = report.measured
        others = found["others' pace"]
        yield (
            f"| {number} | {report.attempts} | {len(report.lost)} | {len(report.doubled)} | {_errors(report)} "
            f"| {found['promotion']:.2f} s | {found['longest call']:.2f} s | {found['producers still']:.2f} s "
            f"| {found['workers still']:.2f} s | {others:.0%} | {_drain(report)} |"
        )


def _runs(reports: Sequence[Report]) -> Iterator[str]:
    yield (
        "| run | time | asked | blows | lost | doubled (without a blow) | unexpected | unknown, recovered "
        "| contradicted | refused | leases | drain |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|"
    for report in reports:
        strange = len(set(report.doubled) & set(report.unexplained))
        blows = ", ".join(f"{count} {name}" for name, count in report.strikes.items()) or "-"
        yield (
            f"| {report.name} | {report.seconds:.0f} s | {report.attempts} | {blows} | {len(report.lost)} "
            f"| {len(report.doubled)} ({strange}) | {len(report.unexpected)} | {_errors(report)}, "
            f"{len(report.recovered)} | {len(report.contradicted)} | {report.refused} | {report.lease_losses} "
            f"| {_drain(report)} |"
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


def _drain(report: Report) -> str:
    return "never" if report.drained is None else f"{report.drained:.1f} s"

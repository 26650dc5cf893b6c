"""The results as tables of words, which the terminal and the page show each in their way (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..contender import Contender
from ..contenders.table import OURS
from ..scenarios.base import Scenario
from ..stats import Metric, Results, Spread
from ..targets import verdicts


@dataclass(frozen=True, slots=True)
class Table:
    """A title, a head, rows, and lines of small print."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: tuple[str, ...] = ()


def tables(results: Results, contenders: Sequence[Contender], scenarios: Sequence[Scenario]) -> list[Table]:
    """All tables of a report."""
    metrics = [metric for scenario in scenarios for metric in scenario.metrics]
    main = [metric for metric in metrics if not metric.key.endswith(".server")]
    found = [_of_metric(results, contenders, metric) for metric in main]
    found = [table for table in found if table.rows]
    server = _of_server(results, contenders, [metric for metric in metrics if metric.key.endswith(".server")])
    targets = _of_targets(results, contenders, metrics)
    return [table for table in (targets, *found, server, _of_contenders(results, contenders)) if table.rows]


def _of_metric(results: Results, contenders: Sequence[Contender], metric: Metric) -> Table:
    scenario = metric.key.partition(".")[0]
    spreads = [(c, spread) for c in contenders if (spread := results.spread(c.name, metric.key))]
    spreads.sort(key=lambda pair: pair[1].median, reverse=metric.higher)
    rows = []
    for contender, spread in spreads:
        ratio = None if contender.name == OURS else results.ratio(OURS, contender.name, metric)
        rows.append((contender.label, number(spread.median), between(spread), times(ratio) if ratio else ""))
    notes = _absent(results, contenders, scenario)
    unit = metric.unit if metric.higher else f"{metric.unit}, less is better"
    return Table(
        f"{metric.title} ({unit})",
        ("", "median", "least to most", "taskflow is so many times better"),
        rows,
        notes,
    )


def _absent(results: Results, contenders: Sequence[Contender], scenario: str) -> tuple[str, ...]:
    """Why some contenders are not in a table; one line for all with the same reason."""
    reasons: dict[str, list[str]] = {}
    for contender in contenders:
        if why := results.absent.get((contender.name, scenario)):
            reasons.setdefault(why, []).append(contender.label)
    return tuple(f"{', '.join(labels)}: {why}" for why, labels in reasons.items())


def _of_server(results: Results, contenders: Sequence[Contender], metrics: Sequence[Metric]) -> Table:
    rows = []
    for contender in contenders:
        spreads = [results.spread(contender.name, metric.key) for metric in metrics]
        if any(spreads):
            rows.append((contender.label, *(number(s.median) if s else "" for s in spreads)))
    head = ("", *(metric.title.partition(": processor time")[0] for metric in metrics))
    note = "A million divided by it is the rate that the server alone would allow on this machine."
    return Table("Processor time of the server (µs per task)", head, rows, (note,))


def _of_targets(results: Results, contenders: Sequence[Contender], metrics: Sequence[Metric]) -> Table:
    rows = [
        (verdict.what, verdict.target, verdict.measured, "yes" if verdict.met else "no")
        for verdict in verdicts(results, contenders, metrics)
    ]
    return Table("Targets", ("", "target", "measured", "met"), rows)


def _of_contenders(results: Results, contenders: Sequence[Contender]) -> Table:
    rows = [
        (c.label, c.version, "; ".join(part for part in (results.settings.get(c.name, ""), c.note) if part))
        for c in contenders
    ]
    return Table("Contenders", ("", "version", "how it is run"), rows)


def number(value: float) -> str:
    """Three significant digits, in groups of thousands."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def between(spread: Spread) -> str:
    """The least and the greatest value."""
    return f"{number(spread.least)} to {number(spread.most)}"


def times(ratio: Spread) -> str:
    """How many times better, with the spread of the rounds."""
    return f"× {number(ratio.median)} ({between(ratio)})"

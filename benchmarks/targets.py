"""What taskflow has promised to reach in one run, and whether it did (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .contender import Contender
from .contenders.table import OURS
from .stats import Metric, Results

BEST_PYTHON = "the best Python peer"


@dataclass(frozen=True, slots=True)
class Ratio:
    """taskflow is at least so many times as good as another."""

    metric: str
    other: str
    at_least: float


@dataclass(frozen=True, slots=True)
class Bound:
    """A value of taskflow's own is at most so much."""

    metric: str
    at_most: float


@dataclass(frozen=True, slots=True)
class Gain:
    """taskflow is at least so many times as good at one thing as at another."""

    metric: str
    over: str
    at_least: float


TARGETS: tuple[Ratio | Bound | Gain, ...] = (
    Ratio("single.rate", "limit", 0.85),
    Ratio("single.rate", "celery", 4),
    Ratio("threads.rate", "asynq", 1),
    Ratio("asyncio.rate", "asynq", 1),
    Ratio("bulk.rate", "limit", 1),
    Ratio("bulk.rate", "bullmq", 2.2),
    Ratio("bulk.rate", BEST_PYTHON, 4),
    Ratio("drain.rate", "limit", 0.8),
    Ratio("drain.rate", "bullmq", 3),
    Ratio("drain.rate", "asynq", 6),
    Ratio("drain.rate", BEST_PYTHON, 8),
    Ratio("drain.rate", "celery", 40),
    Gain("drain-cpu-2.rate", "drain-cpu.rate", 1.8),
    Ratio("latency.median", "limit", 1 / 1.5),
    Bound("latency.p99", 10),
    Bound("latency-go.median", 5),
    Bound("idle.commands", 5),
    Bound("result.median", 3),
    Ratio("memory.bytes", "asynq", 1),
    Bound("footprint.memory", 60),
    Bound("footprint.start", 0.6),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target, what was measured, and whether it is met; all as words."""

    what: str
    target: str
    measured: str
    met: bool


def verdicts(results: Results, contenders: Sequence[Contender], metrics: Sequence[Metric]) -> list[Verdict]:
    """The targets that this run can tell about."""
    known = {metric.key: metric for metric in metrics}
    found = []
    for target in TARGETS:
        metric = known.get(target.metric)
        if metric is not None:
            match target:
                case Bound():
                    verdict = _bound(results, metric, target)
                case Gain():
                    verdict = _gain(results, metric, known.get(target.over), target)
                case Ratio():
                    verdict = _ratio(results, contenders, metric, target)
            if verdict is not None:
                found.append(verdict)
    return found


def _bound(results: Results, metric: Metric, target: Bound) -> Verdict | None:
    spread = results.spread(OURS, metric.key)
    if spread is None:
        return None
    return Verdict(
        metric.title,
        f"at most {target.at_most:g} {metric.unit}",
        f"{spread.median:.3g} {metric.unit}",
        spread.median <= target.at_most,
    )


def _gain(results: Results, metric: Metric, over: Metric | None, target: Gain) -> Verdict | None:
    gain = results.gain(OURS, metric.key, over.key) if over is not None else None
    if over is None or gain is None:
        return None
    measured = f"{gain.median:.2f} ({gain.least:.2f} to {gain.most:.2f})"
    wanted = f"at least {target.at_least:.3g} × {over.title[:1].lower()}{over.title[1:]}"
    return Verdict(metric.title, wanted, measured, gain.median >= target.at_least)


def _ratio(
    results: Results, contenders: Sequence[Contender], metric: Metric, target: Ratio
) -> Verdict | None:
    name = label = target.other
    if target.other == BEST_PYTHON:
        peers = [c for c in contenders if c.python and c.name != OURS]
        ranked = [(spread.median, c) for c in peers if (spread := results.spread(c.name, metric.key))]
        if not ranked:
            return None
        best = (max if metric.higher else min)(ranked, key=lambda pair: pair[0])[1]
        name, label = best.name, f"{BEST_PYTHON} ({best.label})"
    ratio = results.ratio(OURS, name, metric)
    if ratio is None:
        return None
    measured = f"{ratio.median:.2f} ({ratio.least:.2f} to {ratio.most:.2f})"
    return Verdict(
        metric.title, f"at least {target.at_least:.3g} × {label}", measured, ratio.median >= target.at_least
    )

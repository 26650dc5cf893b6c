"""What is measured, and the numbers made of it (pure)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a contender.

    Args:
        key: `scenario.what`.
        title: for tables.
        unit: of its values.
        higher: whether more is better.
        chart: whether it is in the picture.
    """

    key: str
    title: str
    unit: str
    higher: bool = True
    chart: bool = False


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the least and the greatest value."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100) - 1, 0)]


@dataclass
class Results:
    """The values of every contender and metric, by round; and why there are none."""

    values: dict[tuple[str, str], dict[int, float]] = field(default_factory=dict)
    absent: dict[tuple[str, str], str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)

    def add(self, contender: str, metric: str, round_: int, value: float) -> None:
        """Enter one value."""
        self.values.setdefault((contender, metric), {})[round_] = value

    def spread(self, contender: str, metric: str) -> Spread | None:
        """The values of all rounds, if there are any."""
        values = self.values.get((contender, metric))
        return Spread.of(list(values.values())) if values else None

    def ratio(self, one: str, other: str, metric: Metric) -> Spread | None:
        """How many times better `one` is than `other`: compared round by round."""
        mine, theirs = self.values.get((one, metric.key), {}), self.values.get((other, metric.key), {})
        pairs = [(mine[round_], theirs[round_]) for round_ in mine if round_ in theirs]
        if not metric.higher:
            pairs = [(b, a) for a, b in pairs]
        ratios = [a / b for a, b in pairs if a > 0 and b > 0]
        return Spread.of(ratios) if ratios else None

    def gain(self, contender: str, metric: str, over: str) -> Spread | None:
        """How many times as great one of its numbers is as another: compared round by round."""
        first, second = self.values.get((contender, metric), {}), self.values.get((contender, over), {})
        gains = [first[round_] / second[round_] for round_ in first if second.get(round_)]
        return Spread.of(gains) if gains else None

"""What a scenario is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from ..contender import Contender, Place
from ..stats import Metric


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Args:
        tasks: of a throughput measurement, at most.
        seconds: that one should take: slow contenders get fewer tasks.
        pings: of a latency measurement.
        idle_seconds: of looking at an idle worker.
    """

    tasks: int = 50_000
    seconds: float = 3.0
    pings: int = 100
    idle_seconds: float = 10.0


class Scenario(ABC):
    """One way to measure a contender; it yields a value for each of its metrics.

    Attributes:
        name: as on the command line.
        counted: whether it is given a number of tasks that suits the contender's pace.
        once: whether one round is enough: what it measures does not vary.
    """

    name: str
    metrics: tuple[Metric, ...]
    counted = False
    once = False

    @abstractmethod
    def measure(self, contender: Contender, place: Place, size: Size) -> dict[str, float]:
        """Measure once on an empty server: value by the metric's key. `size.tasks` is already the contender's own.

        Raises:
            Unsupported: the contender cannot do it.
            RunFailed: something went wrong.
        """

"""One run: rounds of scenarios, in each the contenders one after the other in an order of chance."""

from __future__ import annotations

import dataclasses
import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import server as servers
from .contender import Contender, Place, Unavailable, Unsupported
from .processes import RunFailed, awake
from .scenarios.base import Scenario, Size
from .server import Server
from .stats import Results

PROBE_TASKS = 1000
LEAST_TASKS = 200
"""Fewer tell nothing; clients spend the first fifty on warming up."""


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    Args:
        contenders: who takes part.
        scenarios: what is measured.
        rounds: how often.
        size: how much.
        concurrency: of every worker.
        awake: whether the cores are kept from sleeping.
        seed: of the order of contenders.
        always: whether what is measured once else is measured in each round.
    """

    contenders: Sequence[Contender]
    scenarios: Sequence[Scenario]
    rounds: int = 5
    size: Size = dataclasses.field(default_factory=Size)
    concurrency: int = 20
    awake: bool = True
    seed: int = 1
    always: bool = False


class Run:
    """Carries out a plan on a server of its own.

    Args:
        plan: what to do.
        say: is told about the progress, a line at a time.
    """

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._say = say
        self._dice = random.Random(plan.seed)
        self._pace: dict[tuple[str, str], float] = {}
        self.results = Results()
        self.server = ""
        self.contenders: list[Contender] = []

    def run(self) -> Results:
        """Install the peers, start the server, measure everything."""
        self._prepare()
        directory = Path(tempfile.mkdtemp(prefix="taskflow-bench-"))
        try:
            with servers.running(directory) as server, awake(self._plan.awake):
                self.server = server.about()
                for contender in self.contenders:
                    self._choose_setting(contender, server, directory)
                for round_ in range(self._plan.rounds):
                    for scenario in self._plan.scenarios:
                        order = self._dice.sample(self.contenders, len(self.contenders))
                        for contender in order:
                            self._measure(contender, scenario, round_, server, directory)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return self.results

    def _prepare(self) -> None:
        for contender in self._plan.contenders:
            try:
                contender.prepare()
            except Unavailable as error:
                self.results.skipped[contender.name] = str(error)
                self._say(f"{contender.name}: skipped: {error}")
            else:
                self.contenders.append(contender)
                self._say(f"{contender.name}: {contender.version}")

    def _choose_setting(self, contender: Contender, server: Server, directory: Path) -> None:
        """The setting that drains fastest is a contender's for everything: each at its best."""
        drain = next((s for s in self._plan.scenarios if s.name == "drain"), None)
        best = (0.0, contender.settings[0])
        if drain is not None and len(contender.settings) > 1:
            for setting in contender.settings:
                place = self._place(server, directory, setting)
                size = dataclasses.replace(self._plan.size, tasks=min(self._plan.size.tasks, PROBE_TASKS))
                try:
                    rate = drain.measure(contender, place, size)[f"{drain.name}.rate"]
                except (RunFailed, Unsupported) as error:
                    self._say(f"{contender.name}, {setting}: {error}")
                    continue
                self._say(f"{contender.name}, {setting}: {rate:,.0f} tasks/s")
                best = max(best, (rate, setting))
        self.results.settings[contender.name] = best[1]

    def _measure(
        self, contender: Contender, scenario: Scenario, round_: int, server: Server, directory: Path
    ) -> None:
        key = (contender.name, scenario.name)
        if key in self.results.absent or (scenario.once and round_ and not self._plan.always):
            return
        place = self._place(server, directory, self.results.settings[contender.name])
        try:
            values = scenario.measure(contender, place, self._size(contender, scenario, place))
        except Unsupported as error:
            self.results.absent[key] = str(error)
            return
        except RunFailed as error:
            self.results.absent[key] = f"failed: {error}"
            self._say(f"{contender.name}, {scenario.name}: failed: {error}")
            return
        for metric in scenario.metrics:
            if metric.key in values:
                self.results.add(contender.name, metric.key, round_, values[metric.key])
        if scenario.counted:
            self._pace[key] = values[scenario.metrics[0].key]
        numbers = ", ".join(f"{key.partition('.')[2]} {value:,.4g}" for key, value in values.items())
        self._say(f"round {round_ + 1}, {scenario.name}, {contender.name}: {numbers}")

    def _size(self, contender: Contender, scenario: Scenario, place: Place) -> Size:
        """As many tasks as suit the contender's pace; the first time a short measurement finds it out."""
        size = self._plan.size
        if not scenario.counted or size.tasks <= PROBE_TASKS:
            return size
        key = (contender.name, scenario.name)
        if key not in self._pace:
            first = scenario.measure(contender, place, dataclasses.replace(size, tasks=PROBE_TASKS))
            self._pace[key] = first[scenario.metrics[0].key]
            place.server.flush()
        tasks = int(min(size.tasks, max(LEAST_TASKS, self._pace[key] * size.seconds)))
        return dataclasses.replace(size, tasks=tasks)

    def _place(self, server: Server, directory: Path, setting: str) -> Place:
        """An empty server, and no marks of those before."""
        server.flush()
        place = Place(server, directory, self._plan.concurrency, setting)
        place.marks.unlink(missing_ok=True)
        place.log.unlink(missing_ok=True)
        return place

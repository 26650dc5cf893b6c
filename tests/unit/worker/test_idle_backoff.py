"""A crowd of workers in a simulation: each knows what came of its own wakes, none knows how many others there are.

Time is simulated, the choices come from seeds, and the server wakes all who wait, as it does for BLMOVE.
"""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field

import pytest

from taskflow.worker.taking.idle_backoff import FREE, LAST_LOOK, IdleBackoff

ROUND_TRIP = 0.001
WAIT = 2.0


@dataclass
class Simulation:
    """Workers on one queue, and a task now and then."""

    workers: int
    interval: float
    seconds_per_task: float = 0.001
    woken: list[int] = field(default_factory=list)
    """How many each task woke."""
    latencies: list[float] = field(default_factory=list)
    looks: int = 0
    now: float = 0.0

    def run(self, tasks: int) -> None:
        """Until so many tasks have come."""
        self.dice = dice = random.Random(1)
        self.crowds = [IdleBackoff(random.Random(seed)) for seed in range(self.workers)]
        self.events: list[tuple[float, int, int, int]] = []
        self.order = itertools.count()
        self.waiting: dict[int, int] = {}
        self.is_woken = [False] * self.workers
        self.pending: list[float] = []
        for worker in range(self.workers):
            self._at(dice.random(), worker)
        arrival = 0.0
        for _ in range(tasks):
            arrival += dice.expovariate(1 / self.interval)
            self._at(arrival, -1)
        self.go_on(arrival)

    def go_on(self, until: float) -> None:
        """Let time pass."""
        while self.now < until:
            self.now, _, worker, round_ = heapq.heappop(self.events)
            if worker < 0:
                self._arrive()
            elif round_ < 0:
                self._look(worker)
            elif self.waiting.get(worker) == round_:
                del self.waiting[worker]
                self._idle(worker)

    def _at(self, moment: float, worker: int, round_: int = -1) -> None:
        heapq.heappush(self.events, (moment, next(self.order), worker, round_))

    def _arrive(self) -> None:
        self.pending.append(self.now)
        self.woken.append(len(self.waiting))
        for worker in self.waiting:
            self.is_woken[worker] = True
            self._at(self.now + ROUND_TRIP * self.dice.uniform(0.5, 1.5), worker)
        self.waiting.clear()

    def _look(self, worker: int) -> None:
        self.looks += 1
        woken, self.is_woken[worker] = self.is_woken[worker], False
        backoff = self.crowds[worker]
        if self.pending:
            self.latencies.append(self.now - self.pending.pop(0))
            (backoff.won if woken else backoff.found)()
            self._at(self.now + self.seconds_per_task, worker)
            return
        if woken:
            backoff.lost()
        self._idle(worker)

    def _idle(self, worker: int) -> None:
        backoff = self.crowds[worker]
        if backoff.waits():
            self.waiting[worker] = round_ = next(self.order)
            self._at(self.now + WAIT, worker, round_)
        else:
            self._at(self.now + backoff.pause(), worker)


def percentile(values: list[float], percent: float) -> float:
    return sorted(values)[int(len(values) * percent / 100)]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_few_workers_are_no_crowd_and_all_wait(workers: int) -> None:
    simulation = Simulation(workers, interval=1.0)

    simulation.run(500)

    assert percentile(simulation.latencies, 99) < 2 * ROUND_TRIP
    assert simulation.woken[-1] == workers


@pytest.mark.parametrize(("workers", "interval"), [(20, 0.1), (20, 5.0), (200, 0.1), (200, 2.0), (500, 0.2)])
def test_a_task_wakes_a_few_of_a_crowd_and_does_not_wait(workers: int, interval: float) -> None:
    """It did wake all of them: with 200 idle workers a task cost the server 600 commands."""
    simulation = Simulation(workers, interval)

    simulation.run(200)

    settled = simulation.woken[80:]
    assert sum(settled) / len(settled) < 12 + workers / 8
    assert percentile(simulation.latencies[80:], 99) < 2 * ROUND_TRIP


def test_an_idle_crowd_looks_no_more_often_than_asynq_polls() -> None:
    simulation = Simulation(200, interval=2.0)
    simulation.run(60)
    before, since = simulation.looks, simulation.now

    simulation.go_on(since + 20)

    assert (simulation.looks - before) / 20 < 200


def test_a_crowd_that_is_half_busy_starts_a_task_soon() -> None:
    simulation = Simulation(200, interval=0.1, seconds_per_task=10.0)

    simulation.run(1000)

    assert percentile(simulation.latencies, 50) < 2 * ROUND_TRIP
    assert percentile(simulation.latencies, 99) < 0.1


def test_the_last_of_a_crowd_waits_again_after_one_look() -> None:
    backoff = IdleBackoff(random.Random(1))
    for _ in range(100):
        backoff.lost()
    assert backoff.share == 1 / 16
    assert all(0 < backoff.pause() <= LAST_LOOK for _ in range(100))

    backoff.found()

    assert backoff.share == 1
    assert all(backoff.waits() for _ in range(100))


def test_losses_that_may_be_chance_change_nothing() -> None:
    backoff = IdleBackoff(random.Random(1))
    for _ in range(FREE):
        backoff.lost()

    assert all(backoff.waits() for _ in range(100))


def test_of_a_large_crowd_a_part_does_what_one_has_to_do_each_second() -> None:
    alone, many = IdleBackoff(random.Random(1)), IdleBackoff(random.Random(1))
    for _ in range(100):
        many.lost()

    assert all(alone.helps() for _ in range(100))
    assert 60 < sum(many.helps() for _ in range(1000)) < 250


def test_in_a_crowd_each_does_less_of_what_any_can_do_but_never_seldom() -> None:
    backoff = IdleBackoff(random.Random(1))
    assert backoff.stretch(3) == 1
    for _ in range(FREE + 2):
        backoff.lost()
    assert backoff.stretch(3) == 2
    for _ in range(100):
        backoff.lost()
    assert backoff.stretch(3) == 3
    backoff.found()
    assert backoff.stretch(3) == 1

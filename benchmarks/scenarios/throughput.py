"""Tasks per second: in by one caller, in bulk, by a hundred callers; and out."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

from ..contender import Contender, Place, Unsupported
from ..processes import Process, RunFailed
from ..stats import Metric
from .base import Scenario, Size

DRAIN_SECONDS = 120.0
_NEAR, _FAR = 0.001, 0.05


class Enqueue(Scenario):
    """Tasks without arguments into an empty queue that nobody works on."""

    counted = True

    def __init__(self, how: str, title: str) -> None:
        self.name = how
        self.metrics = (
            Metric(f"{how}.rate", title, "tasks/s", chart=True),
            Metric(f"{how}.server", f"{title}: processor time of the server", "µs/task", higher=False),
        )

    def measure(self, contender: Contender, place: Place, size: Size) -> dict[str, float]:
        """See `Scenario.measure`."""
        before = place.server.cpu_seconds()
        seconds = contender.enqueue(place, self.name, size.tasks)
        used = place.server.cpu_seconds() - before
        rate, server = self.metrics
        return {rate.key: size.tasks / seconds, server.key: used / size.tasks * 1e6}


@dataclass(frozen=True)
class Drained:
    """How a queue was emptied: from the first task taken to the last acknowledged, as the server saw it."""

    tasks: int
    seconds: float
    server_seconds: float


class Drain(Scenario):
    """A worker meets a full queue.

    The clock runs from the last look that found the queue full to the first that finds nothing waiting and nothing held, so
    that neither the start of the worker nor anything inside the tasks counts; it is the same for all contenders.
    """

    counted = True

    def __init__(self, name: str, title: str, kind: str = "noop", processes: int = 1) -> None:
        self.name = name
        self._kind = kind
        self._processes = processes
        self.metrics = (
            Metric(f"{name}.rate", title, "tasks/s", chart=name in ("drain", "drain-2")),
            Metric(f"{name}.server", f"{title}: processor time of the server", "µs/task", higher=False),
        )

    def measure(self, contender: Contender, place: Place, size: Size) -> dict[str, float]:
        """See `Scenario.measure`."""
        contender.check(self.name)
        workers = contender.worker(place, count=size.tasks, processes=self._processes)
        contender.enqueue(place, "preload", size.tasks, self._kind)
        if count(contender, place)[0] == 0:
            raise Unsupported("its waiting tasks cannot be counted")
        with contextlib.ExitStack() as stack:
            for worker in workers:
                stack.enter_context(worker)
            drained = watch(contender, place, workers)
        rate, server = self.metrics
        return {
            rate.key: drained.tasks / drained.seconds,
            server.key: drained.server_seconds / drained.tasks * 1e6,
        }


def count(contender: Contender, place: Place) -> tuple[int, int]:
    """How many tasks wait, and how many are waiting or held, at one moment."""
    with place.server.client.pipeline(transaction=True) as pipeline:
        for command in (contender.waiting, *contender.held):
            pipeline.execute_command(*command)
        numbers = [int(number) for number in pipeline.execute()]
    return numbers[0], sum(numbers)


def watch(
    contender: Contender, place: Place, workers: list[Process], patience: float = DRAIN_SECONDS
) -> Drained:
    """Watch the queue run empty: closely at the start and at the end, and rarely in between.

    Raises:
        RunFailed: it takes longer than `patience` seconds, or a worker has ended badly.
    """
    cpu = place.server.cpu_seconds()
    tasks, _ = count(contender, place)
    deadline = time.monotonic() + patience
    began = time.perf_counter()
    left = tasks
    while True:
        looked = time.perf_counter()
        waiting, left = count(contender, place)
        if left == 0:
            return Drained(tasks, looked - began, place.server.cpu_seconds() - cpu)
        if waiting == tasks:
            began, pause = looked, _NEAR
        else:
            pace = max(tasks - left, 1) / max(looked - began, _NEAR)
            pause = min(max(left / pace / 4, _NEAR), _FAR)
        if time.monotonic() > deadline:
            raise RunFailed(f"{left} of {tasks} tasks were not done within {patience:g} s")
        for worker in workers:
            worker.check()
        time.sleep(pause)

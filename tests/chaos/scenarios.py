"""The scenarios of the long form, by name: what the command and the long tests carry out."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import deploy, failover
from .fleet import WorkerOptions
from .memory import fill_and_drain
from .nemeses import ALL
from .report import Report
from .run import Plan, carry_out
from .target import ClusterTarget


@dataclass(frozen=True)
class Settings:
    """What the command is told.

    Args:
        minutes: of a mixed run.
        runs: of a failover.
        alone: seconds of each nemesis by itself.
        seed: of everything random.
    """

    minutes: float = 10.0
    runs: int = 5
    alone: float = 30.0
    seed: int = 1


Scenario = Callable[[Path, Settings], Iterator[Report]]

PROXY = ("cut", "refuse", "delay", "hole", "drop-replies")
CLUSTER = (
    "failover",
    "failover-force",
    "failover-takeover",
    "slot-migration",
    "atomic-migration",
    "replica-pause",
)


def mixed_single(directory: Path, settings: Settings) -> Iterator[Report]:
    """Everything that can happen to one server and its clients, at once."""
    yield carry_out(
        Plan(
            "mixed-single",
            seconds=60 * settings.minutes,
            rate=100,
            nemeses={
                "drop-replies": None,
                "cut": (5.0, 15.0),
                "delay": (10.0, 20.0),
                "hole": (20.0, 40.0),
                "refuse": (20.0, 40.0),
                "script-flush": (2.0, 5.0),
                "client-kill": (5.0, 10.0),
                "memory-full": (15.0, 30.0),
                "master-kill": (20.0, 40.0),
                "child-kill": (4.0, 8.0),
                "worker-term": (10.0, 20.0),
                "worker-kill": (15.0, 30.0),
                "worker-pause": (40.0, 80.0),
            },
            drop_probability=0.01,
            drop_every=100,
            workers=WorkerOptions(count=3, concurrency=8, processes=2, grace=3.0),
            drain=240,
            seed=settings.seed,
        ),
        directory,
    )


def mixed_cluster(directory: Path, settings: Settings) -> Iterator[Report]:
    """Everything that can happen to a cluster and its clients: servers one after the other, workers meanwhile."""
    yield carry_out(
        Plan(
            "mixed-cluster",
            cluster=True,
            seconds=60 * settings.minutes,
            rate=100,
            queues=6,
            durable="true",
            nemeses={
                "master-kill": (15.0, 40.0),
                "master-pause": (15.0, 40.0),
                "master-restart": (15.0, 40.0),
                "failover": (15.0, 40.0),
                "failover-force": (20.0, 60.0),
                "failover-takeover": (20.0, 60.0),
                "slot-migration": (15.0, 40.0),
                "atomic-migration": (15.0, 40.0),
                "replica-pause": (20.0, 60.0),
                "script-flush": (2.0, 5.0),
                "client-kill": (5.0, 10.0),
                "memory-full": (20.0, 60.0),
                "child-kill": (4.0, 8.0),
                "worker-term": (10.0, 20.0),
                "worker-kill": (15.0, 30.0),
                "worker-pause": (40.0, 80.0),
            },
            workers=WorkerOptions(count=3, concurrency=8, processes=2, grace=3.0),
            drain=240,
            seed=settings.seed,
        ),
        directory,
    )


def alone_single(directory: Path, settings: Settings) -> Iterator[Report]:
    """Each nemesis of one server by itself."""
    for name in ALL:
        if name in CLUSTER:
            continue
        plan = Plan(
            f"alone-{name}",
            seconds=settings.alone + (60 if name == "worker-pause" else 0),
            rate=100,
            nemeses={name: None},
            drop_every=20,
            seed=settings.seed,
        )
        yield struck(carry_out(plan, directory / name))


def alone_cluster(directory: Path, settings: Settings) -> Iterator[Report]:
    """Each nemesis of a cluster by itself, on one cluster."""
    with _cluster(directory) as target:
        for name in ALL:
            if name in PROXY or name.startswith(("worker-", "child-")):
                continue
            plan = Plan(
                f"alone-cluster-{name}",
                cluster=True,
                seconds=settings.alone,
                rate=100,
                queues=3,
                durable="true",
                nemeses={name: None},
                seed=settings.seed,
            )
            yield struck(carry_out(plan, directory / name, target))
            target.heal()


def struck(report: Report) -> Report:
    """The report of a nemesis by itself; without a single blow it shows nothing."""
    report.problems += [f"{name} never struck" for name, count in report.strikes.items() if not count]
    return report


def failovers(durable: str, *, stopped: bool = False) -> Scenario:
    """The master of a busy queue is killed (or stopped) under 500 tasks a second."""
    blow = signal.SIGSTOP if stopped else signal.SIGKILL

    def scenario(directory: Path, settings: Settings) -> Iterator[Report]:
        with _cluster(directory) as target:
            for number in range(settings.runs):
                plan = failover.plan(durable, stopped=stopped, seed=settings.seed + number)
                yield failover.measure(plan, directory / str(number), target, blow)
                target.heal()

    return scenario


def memory(directory: Path, settings: Settings) -> Iterator[Report]:
    """A server is filled until it refuses, and drained while it is full."""
    yield fill_and_drain(directory)


def skew(directory: Path, settings: Settings) -> Iterator[Report]:
    """Workers whose clocks are five minutes ahead and behind, and one that is right."""
    plan = Plan(
        "skew",
        seconds=settings.alone,
        rate=100,
        skews=(300.0, -300.0, 0.0),
        nemeses={"child-kill": None, "worker-kill": (8.0, 12.0)},
        workers=WorkerOptions(count=3),
        seed=settings.seed,
    )
    yield carry_out(plan, directory)


def deploys(directory: Path, settings: Settings) -> Iterator[Report]:
    """One worker after the other is told to end (SIGTERM) and replaced, without a break, with short and long tasks.

    A task may start twice only if it was running when its worker was told, and had not ended when the grace of 3 s was
    over.
    """
    yield deploy.measure(deploy.plan(seconds=60 * min(settings.minutes, 3), seed=settings.seed), directory)


SCENARIOS: dict[str, Scenario] = {
    "failover": failovers(""),
    "failover-durable": failovers("true"),
    "failover-strict": failovers("strict"),
    "failover-stopped": failovers("true", stopped=True),
    "mixed-single": mixed_single,
    "mixed-cluster": mixed_cluster,
    "alone-single": alone_single,
    "alone-cluster": alone_cluster,
    "deploys": deploys,
    "memory": memory,
    "skew": skew,
}


@contextmanager
def _cluster(directory: Path) -> Iterator[ClusterTarget]:
    directory.mkdir(parents=True, exist_ok=True)
    target = ClusterTarget(directory / "servers")
    try:
        yield target
    finally:
        target.close()

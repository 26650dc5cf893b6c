"""One run: producers and workers on a target, nemeses, then peace, a drain, and the classification."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from taskflow.broker.keys import queue_keys
from taskflow.worker.timings import TIMINGS

from . import tuning
from .classify import (
    LONG_SLACK,
    SLACK,
    Story,
    Strike,
    acknowledged_during,
    classify,
    gather,
    overtaken,
    strikes_in,
    unexplained,
)
from .fleet import Fleet, Producers, WorkerOptions
from .ledger import PRODUCER, STRIKE, Entry, Ledger, read
from .nemeses import ALL, Nemesis, World
from .place import where
from .policy import Policy
from .report import Report
from .target import ClusterTarget, SingleTarget, Target


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Args:
        name: for its report and its queues.
        cluster: six nodes instead of one server.
        seconds: how long producers enqueue.
        rate: tasks per second, of all producers together.
        nemeses: their names; a pair of seconds between two blows, or None for the kind's own.
        blows: names of nemeses that strike once each, in this order, before the others are let loose.
        producers, threads: processes, and threads in each.
        mix: `all` kinds of calls, `plain` quick tasks; see `producer.Producer`.
        queues: how many; in a cluster each on another master, as far as there are.
        side_rate: with it, `rate` goes to the first queue alone, and so many tasks per second to the others.
        workers: how they run.
        lease: seconds; with another than the product's, all that looks for its end is as much quicker.
        stuck: seconds for which a child may stand still.
        drop_every: with `drop-replies`: every so-manieth call of each script meets a fault.
        drop_probability: with `drop-replies`: of each call.
        faults: an own policy for `drop-replies` instead.
        enqueue_timeout: the producers'.
        durable: "", "true" or "strict".
        skews: seconds by which the workers' clocks are wrong, in turn.
        plant: a planted bug.
        drain: seconds that the drain may take.
        warm_up: seconds of peace before the nemeses.
        seed: of everything random.
    """

    name: str
    cluster: bool = False
    seconds: float = 20.0
    rate: float = 100.0
    nemeses: Mapping[str, tuple[float, float] | None] = field(default_factory=dict)
    blows: Sequence[str] = ()
    producers: int = 1
    threads: int = 4
    mix: str = "all"
    queues: int = 2
    side_rate: float = 0.0
    workers: WorkerOptions = field(default_factory=WorkerOptions)
    lease: int = TIMINGS.lease
    stuck: float = TIMINGS.stuck
    drop_every: int = 0
    drop_probability: float = 0.0
    faults: Callable[[random.Random], Policy] | None = None
    enqueue_timeout: float = 30.0
    durable: str = ""
    skews: tuple[float, ...] = ()
    plant: str = ""
    drain: float = 120.0
    warm_up: float = 0.5
    seed: int = 1

    @property
    def proxied(self) -> bool:
        """Whether a proxy stands in front of the server."""
        network = ("cut", "refuse", "delay", "hole", "drop-replies")
        return any(name in network for name in (*self.nemeses, *self.blows))

    def environment(self, directory: Path, url: str) -> dict[str, str]:
        """What the processes under test are told."""
        values = {
            "TASKFLOW_CHAOS_LEDGER": str(directory),
            "TASKFLOW_BROKER": url,
            tuning.TIMEOUT: str(self.enqueue_timeout),
            tuning.DURABLE: self.durable,
            tuning.PLANT: self.plant,
        }
        values[tuning.LEASE] = str(self.lease)
        values[tuning.STUCK] = str(self.stuck)
        return values


class Running:
    """A run under way. Made by `run`; a scenario may act on it while it runs."""

    def __init__(self, plan: Plan, directory: Path, target: Target, faults: Policy | None) -> None:
        self.plan = plan
        self.directory = directory
        self.target = target
        self.rng = random.Random(plan.seed)
        self.queues = _queues(plan, target)
        environment = plan.environment(directory, target.url)
        self.fleet = Fleet(target.url, self.queues, directory, environment, plan.workers, plan.skews)
        main = self.queues[:1] if plan.side_rate else self.queues
        self.producers = [Producers(plan.producers, plan.threads, plan.rate, main, plan.mix, plan.seed)]
        if plan.side_rate:
            self.producers.append(
                Producers(1, 2, plan.side_rate, self.queues[1:], plan.mix, plan.seed, "side")
            )
        self.events = Ledger(directory / "nemeses.ledger")
        self.world = World(
            target, self.fleet, self.queues, directory, self.events, plan.lease, plan.stuck, faults
        )
        self.nemeses = [
            ALL[name](self.world, random.Random(f"{plan.seed}/{name}"), pause)
            for name, pause in plan.nemeses.items()
        ]
        self.report = Report(plan.name, where=where())
        self._environment = environment
        self._began = time.monotonic()

    def begin(self) -> None:
        """Start workers and producers."""
        self.fleet.start()
        self.begin_producing()

    def begin_producing(self) -> None:
        """Start the producers alone."""
        self._began = time.monotonic()
        for producers in self.producers:
            producers.start(self.directory, self._environment)

    def await_work(self, timeout: float = 60) -> None:
        """Wait until tasks of every queue have ended: from here on everything is up."""
        deadline = time.monotonic() + timeout
        while True:
            stories = gather(read(self.directory)).values()
            if {story.queue for story in stories if story.ends} >= set(self.queues):
                return
            assert time.monotonic() < deadline, f"no tasks of every queue ran within {timeout:g} s"
            time.sleep(0.2)
            self.fleet.check()

    def idle(self, seconds: float) -> None:
        """Let it run, and look after workers that end by themselves."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.5))
            self.fleet.check()

    def strike(self, seconds: float) -> None:
        """Let the nemeses loose for a while."""
        for nemesis in self.nemeses:
            nemesis.start()
        self.idle(seconds)
        for nemesis in self.nemeses:
            nemesis.stop()
        self.target.heal()

    def hit(self, name: str) -> None:
        """One blow of a nemesis, here and now, until it is mended."""
        nemesis = next((n for n in self.nemeses if n.name == name), None)
        if nemesis is None:
            nemesis = ALL[name](self.world, random.Random(f"{self.plan.seed}/{name}"))
            self.nemeses.append(nemesis)
        nemesis.once()

    def end(self) -> Report:
        """Stop the producers, drain, stop the workers, and say what came of it."""
        report = self.report
        for producers in self.producers:
            report.problems += producers.finish(self.plan.enqueue_timeout + 30)
        report.seconds = time.monotonic() - self._began
        report.drained = self._drain()
        archived = self._archived()
        self.fleet.stop()
        report.problems += self.fleet.problems
        self._judge(archived)
        self._open_the_lost()
        report.save(self.directory / "report.json")
        return report

    def close(self) -> None:
        """End every process of the run, whatever happened."""
        for producers in self.producers:
            producers.kill()
        self.fleet.stop()
        self.events.close()

    def depths(self) -> dict[str, dict[str, int]]:
        """What is left, by queue and state."""
        depths = {queue: self.target.depth(queue) for queue in self.queues}
        return {
            queue: {state: count for state, count in states.items() if count}
            for queue, states in depths.items()
            if any(states.values())
        }

    def _drain(self) -> float | None:
        began = time.monotonic()
        while True:
            self.fleet.check()
            left = self.depths()
            elapsed = time.monotonic() - began
            if not left:
                return elapsed
            if elapsed > self.plan.drain:
                self.report.left = left
                return None
            time.sleep(0.1)

    def _open_the_lost(self) -> None:
        """What is known of tasks that were lost: when, around which blows, and what the servers hold of them."""
        entries = list(read(self.directory))
        stories = gather(entries)
        for tag in self.report.lost[:20]:
            story = stories[tag]
            assert story.invoked is not None
            assert story.answered is not None
            before = [e for e in entries if e.kind in STRIKE and e.at <= story.answered]
            last = max(before, key=lambda e: e.at, default=Entry("start", "of the run", self._began))
            traces = {queue: self.target.trace_of(queue, story.detail) for queue in self.queues}
            found = "; ".join(f"{queue}: {trace}" for queue, trace in traces.items() if trace)
            self.report.autopsies.append(
                f"lost {tag} (id {story.detail}): the call took {story.answered - story.invoked:.3f} s and ended "
                f"{story.answered - last.at:.3f} s after {last.kind} {last.tag}; {len(story.starts)} starts, "
                f"{len(story.raised)} raised; the servers know: {found or 'nothing'}"
            )

    def _archived(self) -> dict[str, str]:
        """Why tasks were archived, by tag."""
        reasons = {}
        for queue in self.queues:
            for message in self.target.archived(queue):
                tag = _tag_of(message.payload)
                reasons[tag] = message.error_msg
        return reasons

    def _judge(self, archived: Mapping[str, str]) -> None:
        report = self.report
        entries = list(read(self.directory))
        stories = gather(entries)
        classified = classify(stories, archived)
        strikes = [s for s in strikes_in(entries) if ALL[s.name].kills_attempts]
        report.attempts, report.ok = classified.attempts, classified.ok
        report.failed, report.unknown = classified.failed, classified.unknown
        for name in ("lost", "doubled", "unexpected", "recovered", "contradicted", "archived", "repeated"):
            setattr(report, name, list(getattr(classified, name)))
        slack = LONG_SLACK if any(nemesis.delays_verdicts for nemesis in self.nemeses) else SLACK
        report.unexplained = list(unexplained(classified.repeated, stories, strikes, slack))
        report.errors = dict(
            Counter(e.detail for e in entries if e.kind in PRODUCER and e.kind in ("fail", "unknown"))
        )
        report.refused = self.fleet.refused()
        report.lease_losses = self.fleet.lease_losses()
        report.strikes = {nemesis.name: nemesis.strikes for nemesis in self.nemeses}
        report.failures = [f"{n.name}: {text}" for n in self.nemeses for text in n.failures]
        report.problems += [f"a worker's log says: {line}" for line in self.fleet.unexpected()[:5]]
        report.problems += [f"archived {tag}: {why}" for tag, why in list(archived.items())[:5]]
        report.problems += self._broken_rules(stories, strikes_in(entries))
        if self.world.faults is not None:
            report.faults = _faults(self.world.faults)

    def _broken_rules(self, stories: Mapping[str, Story], strikes: Sequence[Strike]) -> list[str]:
        """What the numbers alone do not say."""
        broken = []
        if self.report.lease_losses and not any(nemesis.ends_leases for nemesis in self.nemeses):
            broken.append(
                f"{self.report.lease_losses} tasks were stranded until their lease ended, "
                "though no worker or server had died"
            )
        if self.plan.durable:
            alone = [strike for strike in strikes if strike.name == "replica-pause"]
            early = acknowledged_during(stories, alone, settle=0.5)
            if early:
                broken.append(
                    f"{len(early)} durable calls returned while no replica could confirm: {early[:5]}"
                )
        pauses = [strike for strike in strikes if strike.name == "worker-pause"]
        late = sum(overtaken(story, pauses) for story in stories.values())
        if late and not self.report.refused:
            broken.append(
                f"{late} tasks were taken over from a paused worker, and no late verdict was refused"
            )
        return broken


def carry_out(plan: Plan, directory: Path, target: Target | None = None) -> Report:
    """Carry a plan out.

    Args:
        plan: what to do.
        directory: an empty one, for the servers, the ledgers and the logs.
        target: servers that run already; else the plan's own are started, and ended with it.
    """
    with run(plan, directory, target) as running:
        running.begin()
        running.await_work()
        running.idle(plan.warm_up)
        for blow in plan.blows:
            running.hit(blow)
            running.idle(plan.warm_up)
        running.strike(plan.seconds)
        return running.end()


@contextmanager
def run(plan: Plan, directory: Path, target: Target | None = None) -> Iterator[Running]:
    """A run to be acted on; everything that it started is ended with it."""
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        faults: Policy | None = None
        if plan.proxied:
            rng = random.Random(f"{plan.seed}/faults")
            faults = (
                plan.faults(rng)
                if plan.faults is not None
                else Policy(rng, every=plan.drop_every, probability=plan.drop_probability)
            )
        if target is None:
            target = _start(plan, directory, faults)
            stack.callback(target.close)
        running = Running(plan, directory, target, faults)
        stack.callback(running.close)
        yield running


def _start(plan: Plan, directory: Path, faults: Policy | None) -> Target:
    servers = directory / "servers"
    servers.mkdir(exist_ok=True)
    if plan.cluster:
        return ClusterTarget(servers)
    return SingleTarget(servers, faults.quiet() if faults else None, random.Random(plan.seed))


def _queues(plan: Plan, target: Target) -> tuple[str, ...]:
    """Fresh names; in a cluster as many masters as possible hold one."""
    prefix = f"{plan.name}-{random.Random().getrandbits(32):08x}"
    if not isinstance(target, ClusterTarget):
        return tuple(f"{prefix}-{number}" for number in range(plan.queues))
    found: list[str] = []
    used: set[int] = set()
    number = 0
    thirds = [5461, 10923, 16384]
    while len(found) < plan.queues:
        name = f"{prefix}-{number}"
        number += 1
        third = next(index for index, border in enumerate(thirds) if queue_keys(name).slot < border)
        if third in used and len(used) < 3:
            continue
        used.add(third)
        found.append(name)
    return tuple(found)


def _tag_of(payload: bytes | None) -> str:
    text = (payload or b"").decode("utf-8", "replace")
    return text.partition('"tag":"')[2].partition('"')[0]


def _faults(policy: Policy) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for (name, fate), count in sorted(policy.counts.items(), key=lambda item: (item[0][0], item[0][1].name)):
        if name.islower():
            table.setdefault(name, {})[fate.value] = count
    return table


__all__ = ["Nemesis", "Plan", "Running", "carry_out", "run"]

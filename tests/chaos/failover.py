"""The master of a busy queue dies under load and is brought back: how long do producers and workers stand still?

It is killed, or stopped (SIGSTOP): then it neither answers nor closes, and goes on later as if nothing had been.
Measured against the servers' own promotion in the same run: from the blow until a replica answers as master.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .classify import Story, gather, longest_gap
from .fleet import WorkerOptions
from .ledger import Entry, read
from .report import Report
from .run import Plan, Running, run
from .target import ClusterTarget
from .wire import Wire

ALLOWED = 1.5
"""Seconds that producers and workers may stand still after the promotion of a dead master's replica."""

ALLOWED_STOPPED = 2.5
"""The same for a stopped master: nothing but timeouts tells that it does not answer."""

SIDE_PACE = 0.9
"""What the other masters' queues must keep of their pace."""

AWAY = {"": 2.0, "true": 2.0, "strict": 8.0}
"""Seconds that the dead node stays away after the promotion: with "strict", longer than a call waits."""

_NAMES = {signal.SIGKILL: "master-kill", signal.SIGSTOP: "master-pause"}

_SETTLE = 8.0
_LOOK = 40.0


def plan(durable: str, *, stopped: bool = False, rate: float = 500.0, seed: int = 1) -> Plan:
    """500 tasks a second to one queue, a few to those of the two other masters."""
    return Plan(
        f"failover-{durable or 'plain'}{'-stopped' if stopped else ''}",
        cluster=True,
        rate=rate,
        side_rate=60.0,
        producers=2,
        threads=8,
        mix="plain",
        queues=3,
        workers=WorkerOptions(count=2, concurrency=10, processes=1),
        enqueue_timeout=5.0 if durable == "strict" else 30.0,
        durable=durable,
        seed=seed,
    )


def measure(
    plan: Plan, directory: Path, target: ClusterTarget, blow: signal.Signals = signal.SIGKILL
) -> Report:
    """One run."""
    with run(plan, directory, target) as running:
        busy = running.queues[0]
        running.begin()
        running.await_work()
        running.idle(_SETTLE)
        fall = _strike(running, target, busy, blow)
        running.idle(AWAY[plan.durable])
        target.heal()
        running.events.write("healed", _NAMES[blow], "1", busy)
        stale = fall.stale_writes()
        running.idle(_SETTLE)
        report = running.end()
        report.strikes[_NAMES[blow]] = 1
        report.measured = numbers(list(read(directory)), busy, fall.began, fall.promoted)
        if blow is signal.SIGSTOP:
            report.measured["stale writes"] = float(stale)
        report.may_lose = not plan.durable
        allowed = ALLOWED_STOPPED if blow is signal.SIGSTOP else ALLOWED
        report.problems += too_slow(report.measured, strict=plan.durable == "strict", allowed=allowed)
        report.problems += unclean(report.errors, plan)
        report.save(directory / "report.json")
        return report


def numbers(entries: list[Entry], busy: str, killed: float, promoted: float) -> dict[str, float]:
    """The stalls of producers and workers on the busy queue, and the pace of the others meanwhile (pure)."""
    stories = gather(entries).values()
    end = killed + _LOOK
    calls = [
        story.answered - story.invoked
        for story in stories
        if story.queue == busy and story.answered is not None and story.invoked is not None
        if killed - 1 <= story.answered <= end
    ]
    starts = [at for story in stories if story.queue == busy for at in story.starts.values()]
    oks = [s.answered for s in stories if s.queue == busy and s.outcome == "ok" and s.answered is not None]
    promotion = promoted - killed
    return {
        "promotion": promotion,
        "longest call": max(calls, default=0.0),
        "producers still": longest_gap(oks, killed - 1, min(end, max(oks, default=end))),
        "workers still": longest_gap(starts, killed - 1, min(end, max(starts, default=end))),
        "others' pace": _pace(list(stories), busy, killed, promotion),
    }


def too_slow(measured: Mapping[str, float], *, strict: bool = False, allowed: float = ALLOWED) -> list[str]:
    """What is over the limits, in words (pure). With "strict" calls wait for a replica, or raise: they have no limit."""
    limit = measured["promotion"] + allowed
    sentences = [
        f"{what}: {measured[what]:.2f} s, over the promotion of {measured['promotion']:.2f} s plus {allowed} s"
        for what in ("longest call", "producers still", "workers still")
        if measured[what] > limit and not strict
    ]
    if (pace := measured["others' pace"]) < SIDE_PACE:
        sentences.append(f"the other masters' queues kept {pace:.0%} of their pace")
    return sentences


def unclean(errors: Mapping[str, int], plan: Plan) -> list[str]:
    """Exceptions that producers must not see, in words (pure)."""
    allowed = {"BrokerUnavailable", "NotDurable"} if plan.durable == "strict" else set()
    return [f"{count} calls raised {name}" for name, count in errors.items() if name not in allowed]


def _pace(stories: list[Story], busy: str, killed: float, seconds: float) -> float:
    """How many tasks of the other queues ended while the master was away, for each that did just before."""
    ends = [at for story in stories if story.queue not in (busy, "-") for at in story.ends.values()]
    window = min(seconds, _SETTLE)
    before = sum(killed - window <= at < killed for at in ends)
    during = sum(killed <= at < killed + window for at in ends)
    return during / before if before else 0.0


@dataclass
class Fall:
    """A master's fall: when the blow fell, when a replica answered as master, and who still talks to the old one."""

    began: float
    promoted: float
    held: list[Wire] = field(default_factory=list)

    def stale_writes(self) -> int:
        """How many writes the old master took after its time, of those that waited in its connections.

        Nothing of what it takes then will last: this is why a call should wait for a replica (`durable`).
        """
        answers = [wire.reply(2.0) for wire in self.held]
        for wire in self.held:
            wire.close()
        return sum(answer.startswith(b"+OK") for answer in answers)


def _strike(running: Running, target: ClusterTarget, queue: str, blow: signal.Signals) -> Fall:
    """Kill or stop the queue's master, and wait until a replica answers as master.

    Replicas are asked on connections that were made before the blow, and on others that were made after it; a
    stopped master gets a write on one of each kind, which stays in the kernel until it goes on.
    """
    master = target.owner(queue)
    assert master.pid is not None
    assert master.port is not None
    ports = [node.port for node in target.replicas(master) if node.port is not None]
    wires = [Wire(port) for port in ports]
    held = [Wire(master.port)]
    running.events.write("strike", _NAMES[blow], "1")
    began = time.monotonic()
    os.kill(master.pid, blow)
    wires += [Wire(port) for port in ports]
    if blow is signal.SIGSTOP:
        held.append(Wire(master.port))
        for number, wire in enumerate(held):
            wire.send("SET", f"chaos:{{{queue}}}:{number}", "late", "EX", "60")
    while not any(wire.is_master() for wire in wires):
        assert time.monotonic() < began + 60, "no replica was promoted"
        time.sleep(0.01)
    promoted = time.monotonic()
    for wire in wires:
        wire.close()
    return Fall(began, promoted, held)

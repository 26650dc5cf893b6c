"""The master of a busy queue is killed under load and brought back: how long do producers and workers stand still?

Measured against the servers' own promotion in the same run: from the kill until a replica answers as master.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import redis

from .classify import Story, gather, longest_gap
from .fleet import WorkerOptions
from .ledger import Entry, read
from .report import Report
from .run import Plan, Running, run
from .target import ClusterTarget, client, command

ALLOWED = 1.5
"""Seconds that producers and workers may stand still after the promotion."""

SIDE_PACE = 0.9
"""What the other masters' queues must keep of their pace."""

AWAY = {"": 2.0, "true": 2.0, "strict": 8.0}
"""Seconds that the dead node stays away after the promotion: with "strict", longer than a call waits."""

_SETTLE = 8.0
_LOOK = 40.0


def plan(durable: str, *, rate: float = 500.0, seed: int = 1) -> Plan:
    """500 tasks a second to one queue, a few to those of the two other masters."""
    return Plan(
        f"failover-{durable or 'plain'}",
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


def measure(plan: Plan, directory: Path, target: ClusterTarget) -> Report:
    """One run."""
    with run(plan, directory, target) as running:
        busy = running.queues[0]
        running.begin()
        running.await_work()
        running.idle(_SETTLE)
        killed, promoted = _kill(running, target, busy)
        running.idle(AWAY[plan.durable])
        target.heal()
        running.events.write("healed", "master-kill", "1", busy)
        running.idle(_SETTLE)
        report = running.end()
        report.strikes["master-kill"] = 1
        report.measured = numbers(list(read(directory)), busy, killed, promoted)
        if plan.durable != "strict":  # those wait until a replica is back, or raise
            report.problems += too_slow(report.measured)
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


def too_slow(measured: dict[str, float]) -> list[str]:
    """What is over the limits, in words (pure)."""
    limit = measured["promotion"] + ALLOWED
    sentences = [
        f"{what}: {measured[what]:.2f} s, over the promotion of {measured['promotion']:.2f} s plus {ALLOWED} s"
        for what in ("longest call", "producers still", "workers still")
        if measured[what] > limit
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


def _kill(running: Running, target: ClusterTarget, queue: str) -> tuple[float, float]:
    """Kill the queue's master; when that was, and when a replica answered as master."""
    master = target.owner(queue)
    replicas = [client(node.port) for node in target.replicas(master) if node.port is not None]
    assert master.pid is not None
    running.events.write("strike", "master-kill", "1")
    killed = time.monotonic()
    os.kill(master.pid, signal.SIGKILL)
    while True:
        for replica in replicas:
            with contextlib.suppress(redis.RedisError):
                if command(replica, "ROLE")[0] == b"master":
                    for connection in replicas:
                        connection.close()
                    return killed, time.monotonic()
        assert time.monotonic() < killed + 60, "no replica was promoted"
        time.sleep(0.01)

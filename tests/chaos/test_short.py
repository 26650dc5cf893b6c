"""The short form, for every change: a lossy way to one server, a cluster that loses nodes, a paused worker, a full server."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.clusters import notice_soon
from tests.servers import wait_until

from . import deploy
from .fleet import Fleet, WorkerOptions
from .ledger import read
from .memory import fill_and_drain
from .report import summary, wrong
from .run import Plan, carry_out, run
from .saboteur import BLOCKED_WHILE
from .target import ClusterTarget

pytestmark = pytest.mark.timeout(240)

SCRIPTS = ("enqueue", "dequeue", "finish", "extend", "forward", "recover", "expire", "record_server")
"""What a worker and its producers cannot do without."""


def test_replies_are_lost_and_children_killed(tmp_path: Path) -> None:
    """Nothing is lost, doubled, contradicted or stranded, though every script loses replies."""
    report = carry_out(
        Plan(
            "short-drop",
            seconds=5,
            rate=120,
            lease=10,
            nemeses={"drop-replies": None, "child-kill": (2.0, 4.0), "script-flush": (1.0, 3.0)},
            drop_every=10,
            workers=WorkerOptions(count=2, concurrency=8, processes=2),
        ),
        tmp_path,
    )
    assert not wrong(report), summary(report)
    spared = [
        script for script in SCRIPTS if sum(report.faults[script].values()) == report.faults[script]["passed"]
    ]
    assert not spared, summary(report)
    assert report.strikes["child-kill"], summary(report)
    assert not report.failures, summary(report)


CHILDREN = ("child-heir", "child-log", "child-loop", "child-stop", "child-threads", "child-deaths")
REPLACED = {"child-loop": "its event loop has not answered", "child-stop": "it has read nothing"}
"""What the worker says of a child that it replaces."""


def log_of(fleet: Fleet) -> str:
    """What all workers have logged so far."""
    return "".join(path.read_text() for member in fleet.members for path in member.logs)


def test_a_child_goes_wrong_in_every_way(tmp_path: Path) -> None:
    """One worker with one child at a time: whatever happens to the child, its tasks go on within seconds, and none is lost or
    stranded.
    """
    plan = Plan(
        "short-children", rate=40, stuck=2.0, workers=WorkerOptions(count=1, concurrency=8, processes=1)
    )
    with run(plan, tmp_path) as running:
        running.begin()
        running.await_work()
        for blow in CHILDREN:
            if blow in REPLACED:
                # A worker that is short of processor time sees less of how long its child stands still than has passed.
                (tmp_path / BLOCKED_WHILE).touch()
            running.hit(blow)
            if blow in REPLACED:
                said = f"is replaced: {REPLACED[blow]}"
                wait_until(lambda said=said: said in log_of(running.fleet), description=said, timeout=55)  # type: ignore[misc]
                (tmp_path / BLOCKED_WHILE).unlink()
            running.idle(1.0)
        report = running.end()
    assert not wrong(report), summary(report)
    assert not report.failures, summary(report)
    ends = sorted(entry.at for entry in read(tmp_path) if entry.kind == "end")
    # 10 s, and what a machine with more to do than it can takes to start a child.
    assert max(after - before for before, after in pairwise(ends)) < 20, summary(report)


def test_a_cluster_loses_nodes_workers_and_slots(tmp_path: Path) -> None:
    """One of each, while tasks come and go. The worker first: its leases end while the rest goes on."""
    plan = Plan("short-cluster", cluster=True, rate=60, queues=3, durable="true", lease=10)
    with run(plan, tmp_path) as running:
        assert isinstance(running.target, ClusterTarget)
        notice_soon(running.target.config, running.target.url)
        running.begin()
        running.await_work()
        for blow in (
            "worker-kill",
            "slot-migration",
            "atomic-migration",
            "worker-term",
            "failover",
            "worker-term",
            "master-kill",
        ):
            running.hit(blow)
            running.idle(0.5)
        report = running.end()
    assert not wrong(report), summary(report)
    assert not report.failures, summary(report)
    assert not report.errors, summary(report)
    # What the dead worker and the dead master had in hand, and no more.
    assert len(report.doubled) <= 3 * plan.workers.slots, summary(report)


def test_a_worker_is_paused_over_its_lease(tmp_path: Path) -> None:
    """Others take over, and what it says afterwards is refused. The lease is short."""
    report = carry_out(
        Plan("short-pause", blows=["worker-pause"], lease=4, rate=20, mix="held", seconds=0), tmp_path
    )
    assert not wrong(report), summary(report)
    assert report.refused, summary(report)
    assert report.lease_losses, summary(report)


def test_deploys_run_again_only_what_the_grace_cut_off(tmp_path: Path) -> None:
    report = deploy.measure(deploy.plan(seconds=6, workers=2, grace=1.0, rate=50), tmp_path)
    assert not wrong(report), summary(report)
    assert report.repeated, "no task was cut off: the run shows nothing"


def test_a_full_server_drains(tmp_path: Path) -> None:
    report = fill_and_drain(tmp_path)
    assert not wrong(report), summary(report)


def test_clocks_of_workers_differ(tmp_path: Path) -> None:
    """Five minutes ahead and behind: nobody takes another's lease, nothing is early or forgotten."""
    report = carry_out(Plan("short-skew", seconds=4, rate=80, skews=(300.0, -300.0)), tmp_path)
    assert not wrong(report), summary(report)
    assert not report.repeated, summary(report)

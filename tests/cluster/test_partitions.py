"""One queue over the three masters of a real six-node cluster: spread, grown and shrunk under load, and robbed of a master."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from taskflow import TaskFlow
from taskflow.broker.keys import queue_keys
from taskflow.cli.main import main
from taskflow.errors import DuplicateTask
from taskflow.inspector import Inspector
from taskflow.partitions import home, partition_name, partition_names
from tests.conftest import Cluster
from tests.servers import wait_until
from tests.workers import WorkerProcess

pytestmark = pytest.mark.timeout(180)

DIES_AFTER = 50
"""So many tasks are enqueued before the master dies."""

MODULE = """
import json, os
from taskflow import TaskFlow
app = TaskFlow("spread", queues=json.loads(os.environ["QUEUES"]))

@app.task(name="spread:work", max_retries=0)
def work(tag: str) -> str:
    descriptor = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{tag}\\n".encode())
    os.close(descriptor)
    return tag
"""


class Spread:
    """Apps and workers of one queue, each with a number of partitions of its own."""

    def __init__(self, cluster: Cluster, queue: str, directory: Path) -> None:
        self.cluster, self.queue, self.directory = cluster, queue, directory
        (directory / "spread.py").write_text(MODULE)
        self.apps: list[TaskFlow] = []

    def task(self, count: int) -> Any:
        app = TaskFlow(
            broker=self.cluster.url,
            queues={self.queue: {"partitions": count}},
            retention=600,
            enqueue_timeout=30,
        )
        self.apps.append(app)

        @app.task(name="spread:work", queue=self.queue, max_retries=0)
        def work(tag: str) -> str:
            return tag

        return work

    def worker(self, count: int) -> WorkerProcess:
        environment = {
            "QUEUES": json.dumps({self.queue: {"partitions": count}}),
            "LEDGER": str(self.directory / "ledger"),
        }
        return WorkerProcess(
            "spread",
            directory=self.directory,
            environment=environment,
            broker=self.cluster.url,
            queues={self.queue: 1},
            concurrency=10,
        )

    def runs(self) -> Counter[str]:
        """How often each task ran."""
        ledger = self.directory / "ledger"
        return Counter(ledger.read_text().split() if ledger.exists() else [])

    def wait_for(self, *tags: str, timeout: float = 60) -> None:
        wait_until(lambda: set(tags) <= set(self.runs()), description="every task has run", timeout=timeout)

    def masters(self, count: int) -> Counter[int]:
        """How many partitions each master holds, by its port."""
        return Counter(self.cluster.master_of(name).port for name in partition_names(self.queue, count))


@pytest.fixture
def spread(cluster: Cluster, tmp_path: Path) -> Iterator[Spread]:
    cluster.heal()
    made = Spread(cluster, f"images-{os.getpid()}-{time.monotonic_ns()}", tmp_path)
    yield made
    for app in made.apps:
        app.close()
    cluster.heal()


def test_six_partitions_of_the_tutorials_queue_are_two_on_each_master(cluster: Cluster) -> None:
    cluster.heal()
    assert sorted(Counter(cluster.master_of(n).port for n in partition_names("images", 6)).values()) == [
        2,
        2,
        2,
    ]


def test_the_masters_share_the_work_and_the_tools_show_one_queue(
    spread: Spread, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = spread.task(6)
    assert len(spread.masters(6)) == 3
    with spread.worker(6):
        handles = [task.delay(f"one-{n}") for n in range(60)]
        handles += task.map([(f"many-{n}",) for n in range(1200)]).results
        for handle in handles[:10] + handles[-10:]:
            assert handle.get(60) == spread.apps[0].result(handle.id, queue=spread.queue).get(20)
        spread.wait_for(*(f"many-{n}" for n in range(1200)), *(f"one-{n}" for n in range(60)))
    inspector = Inspector(spread.apps[0].client.broker)
    found = inspector.queue(spread.queue)
    assert (found.completed, found.processed, found.partitions) == (1260, 1260, 6)
    assert all(part.processed >= 200 for part in found.parts)
    placed = inspector.cluster_queues([spread.queue])
    assert [one.queue for one in placed] == sorted(partition_names(spread.queue, 6))
    assert Counter(one.nodes[0].port for one in placed) == spread.masters(6)
    monkeypatch.setenv("TASKFLOW_BROKER", spread.cluster.url)
    shown = CliRunner().invoke(main, ["queue", "ls", "--cluster"]).stdout
    assert all(name in shown for name in partition_names(spread.queue, 6))
    text = CliRunner().invoke(main, ["queue", "inspect", spread.queue]).stdout
    assert all(f":{port} (master)" in text for port in spread.masters(6))


def test_growing_from_1_to_6_and_shrinking_to_2_loses_nothing(spread: Spread) -> None:
    """Tasks wait while the number changes, and clients and workers of every number run at once."""
    before = spread.task(1)
    waiting = [f"before-{n}" for n in range(100)]
    before.map([(tag,) for tag in waiting]).raise_for_errors()
    with spread.worker(1), spread.worker(6):
        grown, shrunk = spread.task(6), spread.task(2)
        tags = list(waiting)
        for name, task in (("grown", grown), ("shrunk", shrunk), ("old", before)):
            tags += [f"{name}-{n}" for n in range(200)]
            task.map([(f"{name}-{n}",) for n in range(100)]).raise_for_errors()
            for n in range(100, 200):
                task.delay(f"{name}-{n}")
        spread.wait_for(*tags)
    for n in range(60):
        grown.delay(f"late-{n}")
    with spread.worker(2):  # the only one left knows of two
        spread.wait_for(*(f"late-{n}" for n in range(60)))
    assert set(spread.runs().values()) == {1}


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_tasks_go_round_a_master_that_died(spread: Spread) -> None:
    """While nobody has taken over from it, tasks without a key do not wait, and none is lost or doubled.

    It dies between two calls: what was on its way would stay with it, since whether it arrived is not known.
    """
    task = spread.task(6)
    victim = spread.cluster.master_of(spread.queue)
    assert victim.pid is not None
    lost_to = {n for n in partition_names(spread.queue, 6) if spread.cluster.master_of(n).port == victim.port}
    handles: list[Any] = []
    waited: list[float] = []
    tags = [f"t-{n}" for n in range(400)]
    with spread.worker(6):
        spread.task(6).delay("warm").get(30)
        for tag in tags:
            if len(handles) == DIES_AFTER:
                os.kill(victim.pid, signal.SIGKILL)
                wait_until(lambda: not is_listening(victim.port), description="the master is gone")
            began = time.monotonic()
            handles.append(task.delay(tag))
            waited.append(time.monotonic() - began)
            time.sleep(0.01)
        spread.wait_for(*tags, timeout=90)
    assert max(waited) < 1.0, "nobody has waited for the replica"
    during = Counter(handle.queue for handle in handles[DIES_AFTER : DIES_AFTER + 100])
    assert sum(during[name] for name in lost_to) <= 2, "nothing went to the dead master"
    runs = spread.runs()
    assert [tag for tag in tags if runs[tag] != 1] == []


def test_what_belongs_to_the_dead_master_waits_for_its_replica(spread: Spread) -> None:
    """A lock is on one slot only: another partition cannot say whether it is held."""
    victim = spread.cluster.master_of(partition_name(spread.queue, 0))
    task = spread.task(6).options(unique=600)
    handles = {str(n): task.delay(str(n)) for n in range(30)}
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    for tag in handles:
        with pytest.raises(DuplicateTask):
            task.delay(tag)
    with spread.worker(6):
        spread.wait_for(*handles)
    assert set(spread.runs().values()) == {1}


def test_two_partitions_of_one_node_hold_different_keys(spread: Spread) -> None:
    names = partition_names(spread.queue, 6)
    assert len({queue_keys(name).slot for name in names}) == 6
    assert {home(f"order-{n}", 6) for n in range(100)} == set(range(6))

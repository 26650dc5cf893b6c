"""A cancel on a real six-node cluster, while the node that the task is on dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from taskflow import CancelOutcome, State, TaskFlow
from taskflow.errors import TaskFailed
from taskflow.worker.timings import Timings
from tests.cluster.apps import on_cluster
from tests.conftest import Cluster
from tests.lifecycle import app as module
from tests.lifecycle.conftest import Ledger
from tests.lifecycle.conftest import ledger as ledger
from tests.servers import wait_until
from tests.workers import WorkerProcess

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def app(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskFlow]:
    with on_cluster(module.app, cluster, monkeypatch) as app:
        yield app


def test_a_cancel_outlives_the_node_that_its_task_is_on(
    app: TaskFlow, cluster: Cluster, queue: str, ledger: Ledger
) -> None:
    """Every node may tell the worker; the mark fails over with the task, and both it and what waits are never run again."""
    tasks: Any = {name: task.options(queue=queue) for name, task in app.tasks.items()}
    stubborn, work = (tasks[f"tests.lifecycle.app.{name}"] for name in ("stubborn", "work"))
    timings = Timings(lease=3, lease_extension=0.5, trial=2, recover=0.5)
    with WorkerProcess(
        "tests.lifecycle.app", broker=cluster.url, queues={queue: 1}, concurrency=2, timings=timings
    ) as process:
        runs = stubborn.delay("runs", 60)
        later = work.options(delay=3600).delay("later")
        ledger.wait_for("start", "runs")
        assert later.cancel() is CancelOutcome.CANCELLED
        assert runs.cancel() is CancelOutcome.ASKED
        ledger.wait_for("cancelled", "runs")
        victim = cluster.master_of(queue)
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        process.kill()
    with WorkerProcess(
        "tests.lifecycle.app", broker=cluster.url, queues={queue: 1}, concurrency=2, timings=timings
    ):
        wait_until(lambda: runs.state is State.ARCHIVED, description="the verdict", timeout=60)
        for result in (runs, later):
            with pytest.raises(TaskFailed, match="cancelled"):
                result.get(30)
            assert result.status == "REVOKED"
    assert ledger.count("start", "runs") == 1

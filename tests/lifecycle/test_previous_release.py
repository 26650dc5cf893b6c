"""A deploy takes a while: workers and producers of the previous release run beside those of this one.

`TASKFLOW_PREVIOUS=2788a7f pytest tests/lifecycle/test_previous_release.py` takes those of that commit instead.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from taskflow.worker.timings import Timings
from tests.leases import end_leases
from tests.lifecycle.conftest import Ledger
from tests.servers import Server, wait_until
from tests.workers import ROOT, WorkerProcess

_PRODUCE = """
import sys
from tests.lifecycle.app import app, work
queue, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for number in range(first, last):
    work.options(queue=queue).delay(f"old{number}", 0.005 * (number % 20))
app.close()
"""


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the previous release's package: what starts in it imports that one."""
    folder = tmp_path_factory.mktemp("previous")
    packed = Path(__file__).parent / "previous" / "taskflow.tar.xz"
    if commit := os.environ.get("TASKFLOW_PREVIOUS"):
        packed = folder / "taskflow.tar"
        subprocess.run(
            ["git", "archive", f"--output={packed}", commit, "taskflow"], cwd=ROOT, check=True, timeout=60
        )
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def old_worker(
    previous: Path, valkey: Server, queue: str, ledger: Ledger
) -> Iterator[Callable[..., WorkerProcess]]:
    """As `worker`, of the previous release."""

    def start(**options: Any) -> WorkerProcess:
        options.setdefault("queues", {queue: 1})
        return WorkerProcess(
            "tests.lifecycle.app", broker=valkey.url_as("worker"), directory=previous, **options
        )

    yield start
    # The test would prove nothing with two workers of this release.
    where = _in(previous, "import taskflow; print(taskflow.__file__)")
    assert Path(where.strip()).is_relative_to(previous)


def _in(folder: Path, code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        text=True,
        capture_output=True,
        timeout=60,
    ).stdout


def test_a_rolling_deploy_from_the_previous_release_and_back(
    tasks: Any,
    worker: Any,
    old_worker: Any,
    previous: Path,
    ledger: Ledger,
    raw: redis.Redis,
    queue: str,
) -> None:
    """Both enqueue, both run what both enqueued, and each is stopped in the middle: every task runs once."""
    count = 120
    for turn in range(3):
        with old_worker(concurrency=4) as old, worker(concurrency=4) as new:
            first = turn * count
            results = [
                tasks.work.delay(f"new{number}", 0.005 * (number % 20))
                for number in range(first, first + count)
            ]
            _in(previous, _PRODUCE, queue, first, first + count)
            ledger.wait_for("end", f"new{first + count // 2}")
            for process in (old, new):
                process.wait_for_log("succeeded")
            (old if turn % 2 else new).terminate()
            assert [result.get(30) for result in results] == [
                f"new{number}" for number in range(first, first + count)
            ]
    with worker(concurrency=4):
        wait_until(lambda: not _left(raw, queue), description="everything is done", timeout=30)
    tags = [f"{whose}{number}" for whose in ("old", "new") for number in range(3 * count)]
    assert {tag: ledger.count("end", tag) for tag in tags} == dict.fromkeys(tags, 1)


@pytest.mark.timeout(150)
def test_each_recovers_what_a_dead_worker_of_the_other_held(
    tasks: Any, worker: Any, old_worker: Any, ledger: Ledger, raw: redis.Redis, queue: str
) -> None:
    other = f"{queue}-2"
    with worker(concurrency=2) as new, old_worker(concurrency=2, queues={other: 1}) as old:
        results = [
            tasks.work.options(queue=name).delay(f"{name}:{number}", 2.0)
            for name in (queue, other)
            for number in range(4)
        ]
        ledger.wait_for("start", *(f"{name}:{number}" for name in (queue, other) for number in range(2)))
        new.kill()
        old.kill()
    for name in (queue, other):
        end_leases(raw, name)
    with old_worker(concurrency=4), worker(concurrency=4, queues={other: 1}, timings=Timings(recover=0.3)):
        assert [result.get(90) for result in results] == [
            f"{name}:{number}" for name in (queue, other) for number in range(4)
        ]
    assert not _left(raw, queue)
    assert not _left(raw, other)


def _left(raw: redis.Redis, queue: str) -> int:
    lists = sum(raw.llen(f"asynq:{{{queue}}}:{name}") for name in ("pending", "active"))
    sets = sum(raw.zcard(f"asynq:{{{queue}}}:{name}") for name in ("lease", "scheduled", "retry", "archived"))
    return lists + sets

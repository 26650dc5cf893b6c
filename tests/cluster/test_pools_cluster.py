"""Tasks of two pools in one worker on a real six-node cluster: partitions over all masters, signed and encrypted."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from taskflow import TaskFlow
from taskflow.partitions import partition_names
from tests.conftest import Cluster
from tests.workers import WorkerProcess

KEYS = {"TASKFLOW_SIGNING_KEYS": "k" * 32, "TASKFLOW_ENCRYPTION_KEYS": "e" * 32}

MODULE = """
import json, os, threading
from taskflow import TaskFlow
queues = json.loads(os.environ["QUEUES"])
MIXED, ONLY = queues
app = TaskFlow("apart", queues=queues, retention=600, max_retries=0)

def place() -> list[object]:
    return [os.getpid(), threading.current_thread() is threading.main_thread()]

@app.task(name="apart:thread", queue=MIXED)
def thread(number: int) -> list[object]:
    return place()

@app.task(name="apart:process", pool="processes", queue=MIXED)
def process(number: int) -> list[object]:
    return place()

@app.task(name="apart:only", pool="processes", queue=ONLY)
def only(number: int) -> list[object]:
    return place()
"""


def test_partitions_of_a_queue_have_tasks_of_both_pools(cluster: Cluster, tmp_path: Path) -> None:
    """What tells the pools apart is read from the message as it is stored, and which queues are apart is known by a queue's name:
    both have to hold for what is encrypted, and for queues that are several in storage.
    """
    cluster.heal()
    mixed, apart = (f"{name}-{os.getpid()}-{time.monotonic_ns()}" for name in ("mixed", "apart"))
    queues = {mixed: {"partitions": 6}, apart: {"partitions": 3}}
    (tmp_path / "apart.py").write_text(MODULE)
    app = TaskFlow(
        broker=cluster.url,
        queues=queues,
        retention=600,
        signing_keys=[KEYS["TASKFLOW_SIGNING_KEYS"]],
        encryption_keys=[KEYS["TASKFLOW_ENCRYPTION_KEYS"]],
    )

    def send(name: str, queue: str, count: int) -> list[list[object]]:
        """Where calls have run."""
        handles = [app.send(f"apart:{name}", number=number, queue=queue) for number in range(count)]
        return [handle.get(30) for handle in handles]

    assert len({cluster.master_of(name).port for name in partition_names(mixed, 6)}) == 3
    with WorkerProcess(
        "apart",
        directory=tmp_path,
        environment={"QUEUES": json.dumps(queues), **KEYS},
        broker=cluster.url,
        queues={mixed: 1, apart: 1},
        concurrency=6,
        beside=2,
    ):
        threads, processes, only = (
            send("thread", mixed, 18),
            send("process", mixed, 8),
            send("only", apart, 8),
        )
    app.close()

    assert len({pid for pid, _ in threads}) == 1
    assert {main for _, main in threads} == {False}
    for ran in (processes, only):
        assert {main for _, main in ran} == {True}
        assert not {pid for pid, _ in ran} & {pid for pid, _ in threads}

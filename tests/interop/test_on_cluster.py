"""Go and Python on a real cluster of six nodes, with the tutorial's three queues: one on each master."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskflow import State, embedded
from taskflow.embedded import EmbeddedConfig
from taskflow.errors import DuplicateTask, TaskFailed
from tests.embedded.support import end_all
from tests.interop.apps.side import PythonSide, python_side
from tests.interop.golang import Peer
from tests.servers import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

SLOTS = {"images": 9450, "webhooks": 4418, "notifications": 16340}
QUEUES = {"images": 6, "webhooks": 3, "notifications": 1}

FAST: dict[str, Any] = {"retry_delay_ms": 0, "delayed_check_ms": 100, "task_check_ms": 50}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running cluster without a password; its nodes end with the module, whatever happens in it."""
    directory = tmp_path_factory.mktemp("interop") / "cluster"
    config = EmbeddedConfig(directory, nodes=6, password=False)
    try:
        url = embedded.ensure(config)
        status = embedded.status(config)
        assert len([node for node in status.nodes if node.pid is not None]) == 6
        yield url
        embedded.stop(config)
    finally:
        end_all(directory)


@pytest.fixture
def peer(peer_binary: Path, cluster: str) -> Peer:
    """Go on the cluster."""
    return Peer(peer_binary, "cluster:" + cluster.partition("://")[2])


@pytest.fixture
def python(cluster: str, peer: Peer, tmp_path: Path) -> Iterator[PythonSide]:
    """A Python worker on the three queues, which are empty at first."""
    for queue in set(peer.inspect("queues")) & set(QUEUES):
        for state in ("archived", "completed", "scheduled", "retry"):
            peer.inspect("deleteall", queue=queue, state=state)
    with python_side(cluster, tmp_path, queues=QUEUES, concurrency=4) as side:
        yield side


def test_go_enqueues_and_python_runs(peer: Peer, python: PythonSide) -> None:
    due = int(time.time()) + 2
    kept = {"type": "record", "payload": '{"text":"ü"}', "retention_ms": 60_000}
    kinds: dict[str, dict[str, Any]] = {
        "plain": {},
        "later": {"process_at_unix": due},
        "unique": {"unique_ms": 600_000, "payload": '{"text":"\\u003c1\\u003e"}'},
        "grouped": {"group": "G"},
    }
    answers = peer.enqueue(
        [{**kept, **kind, "queue": queue, "id": name} for queue in QUEUES for name, kind in kinds.items()]
    )
    assert all(answer["ok"] for answer in answers), answers
    for queue in QUEUES:
        assert python.result("grouped", queue).state is State.AGGREGATING
        peer.inspect("run", queue=queue, id="grouped")
        for name in kinds:
            text = "<1>" if name == "unique" else "ü"
            assert python.result(name, queue).get(20) == {"text": text}
        assert 0 <= python.runs.wait_for("later", queue=queue)["at"] - due < 4
        python.task("record").options(queue=queue, unique=600).delay(text="<1>")  # the lock was free again
        assert {task["id"] for task in peer.inspect("list", queue=queue, state="completed")} == set(kinds)
        assert peer.inspect("cluster_keyslot", queue=queue) == SLOTS[queue]
        assert len(peer.inspect("cluster_nodes", queue=queue)) == 2


def test_python_enqueues_and_go_runs(peer: Peer, python: PythonSide) -> None:
    python.worker.terminate()
    for_go = {queue: python.task("for:go").options(queue=queue, retention=60) for queue in QUEUES}
    now, later, retried, failing = [], [], [], []
    for task in for_go.values():
        now.append(task.options(unique=600).delay('result:{"a":[1]}'))
        with pytest.raises(DuplicateTask):
            task.options(unique=600).delay('result:{"a":[1]}')
        later.append(task.options(delay=1).delay("result:later"))
        retried.append(task.delay("fail:1"))
        failing.append(task.options(max_retries=0).delay("fail"))
    with peer.work(QUEUES, **FAST) as worker:
        assert [result.get(20) for result in now] == [{"a": [1]}] * 3
        assert [result.get(20) for result in later] == ["later"] * 3
        assert [result.get(20) for result in retried] == [None] * 3
        for result in failing:
            with pytest.raises(TaskFailed, match="boom"):
                result.get(20)
        for task in for_go.values():
            outcomes = task.map([("ok",)] * 250)  # more than one batch
            assert (len(outcomes.results), outcomes.failed) == (250, [])
            for result in outcomes.results:
                worker.wait_for_end(result.id)
            again = task.options(unique=600).delay('result:{"a":[1]}')  # Go has freed the lock
            worker.wait_for_end(again.id)


def test_a_mixed_pool_runs_each_task_once(peer: Peer, python: PythonSide) -> None:
    # Listed by the worker's first heartbeat, if no client has enqueued yet.
    wait_until(lambda: set(QUEUES) <= set(peer.inspect("queues")), description="the queues are listed")
    before = {queue: peer.inspect("info", queue=queue)["processed"] for queue in QUEUES}
    with peer.work(QUEUES, concurrency=4, **FAST) as worker:
        ids: list[tuple[str, str]] = []
        for queue in QUEUES:
            payloads = [json.dumps({"go": "sleep:20", "number": n}) for n in range(50)]
            tasks = [{"type": "shared", "queue": queue, "payload": payload} for payload in payloads]
            ids += [(queue, answer["id"]) for answer in peer.enqueue(tasks)]
            outcomes = python.task("shared").options(queue=queue).map([("sleep:20", n) for n in range(50)])
            ids += [(queue, result.id) for result in outcomes.results]
        assert len(set(ids)) == 300

        def processed() -> int:
            return sum(peer.inspect("info", queue=queue)["processed"] - before[queue] for queue in QUEUES)

        wait_until(lambda: processed() >= 300, description="all are done", timeout=60)
        ours = Counter((run["queue"], run["id"]) for run in python.runs.of())
        gos = Counter((event["queue"], event["id"]) for event in worker.events if event["event"] == "start")
    assert ours + gos == Counter(ids)
    assert min(len(ours), len(gos)) > 30
    assert processed() == 300


def test_go_inspects_and_cancels(peer: Peer, python: PythonSide) -> None:
    """A cancellation is published on any node, and heard on any other."""
    tasks = [python.task("slow").options(queue=queue, retention=60).delay(seconds=120) for queue in QUEUES]
    for task in tasks:
        python.runs.wait_for(task.id)
        assert peer.inspect("task", queue=task.queue, id=task.id)["state"] == "active"

    def shown() -> list[Any]:
        return [one["queues"] for one in peer.inspect("servers") if one["pid"] == python.worker.pid]

    wait_until(lambda: shown() == [QUEUES], description="Go's tools show the worker")
    for task in tasks:
        peer.inspect("cancel", id=task.id)
        with pytest.raises(TaskFailed, match="cancelled"):
            task.get(20)

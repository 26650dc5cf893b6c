"""A Go worker and a Python worker on one queue."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from taskflow import State
from tests.interop.apps.side import PythonSide, python_side
from tests.interop.golang import Peer, PeerWorker
from tests.servers import Server, wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

FAST: dict[str, Any] = {"retry_delay_ms": 0, "delayed_check_ms": 100, "task_check_ms": 50}


def runs_of_both(python: PythonSide, worker: PeerWorker) -> tuple[Counter[str], Counter[str]]:
    """How often each task has started, in Python and in Go."""
    ours = Counter(run["id"] for run in python.runs.of())
    gos = Counter(event["id"] for event in worker.events if event["event"] == "start")
    return ours, gos


def test_each_task_runs_once_and_both_take_their_part(
    peer: Peer, valkey: Server, queue: str, tmp_path: Path
) -> None:
    side = python_side(valkey.url, tmp_path, queues={queue: 1}, concurrency=4)
    with side as python, peer.work({queue: 1}, concurrency=4, **FAST) as worker:
        shared = {"type": "shared", "queue": queue}
        answers = peer.enqueue(
            [{**shared, "payload": json.dumps({"go": "sleep:20", "number": n})} for n in range(150)]
        )
        calls = [{"go": "sleep:20", "number": n} for n in range(150, 300)]
        outcomes = python.task("shared").options(queue=queue).map(calls)
        ids = {answer["id"] for answer in answers} | {result.id for result in outcomes.results}
        assert len(ids) == 300
        wait_until(lambda: peer.inspect("info", queue=queue)["processed"] >= 300, description="all are done")
        ours, gos = runs_of_both(python, worker)
    assert ours + gos == Counter(ids)
    assert min(len(ours), len(gos)) > 30  # neither starves
    info = peer.inspect("info", queue=queue)
    assert (info["size"], info["processed"], info["failed"]) == (0, 300, 0)


def test_a_retry_that_one_wrote_is_run_by_the_other(
    peer: Peer, valkey: Server, queue: str, tmp_path: Path
) -> None:
    """Each side fails one task, and finishes the other's."""
    kept = {"queue": queue, "retention_ms": 60_000}
    python_fails = {**kept, "type": "fail", "payload": '{"go":"ok"}', "id": "python fails"}
    go_fails = {**kept, "type": "record", "payload": '{"go":"fail"}', "id": "go fails"}
    peer.enqueue([python_fails])
    with python_side(valkey.url, tmp_path, queues={queue: 1}) as python:
        python.wait_for_state(State.RETRY, "python fails", queue)
    peer.inspect("run", queue=queue, id="python fails")
    peer.enqueue([go_fails])
    with peer.work({queue: 1}, task_check_ms=50) as worker:
        assert worker.wait_for_end("python fails")["retried"] == 1
        worker.wait_for_end("go fails")
        wait_until(
            lambda: peer.inspect("task", queue=queue, id="go fails")["state"] == "retry",
            description="Go has written the retry",
        )
    peer.inspect("run", queue=queue, id="go fails")
    with python_side(valkey.url, tmp_path, queues={queue: 1}) as python:
        assert python.result("go fails", queue).get(20) == {"go": "fail"}
        assert python.runs.of(id="go fails")[0]["retried"] == 1
    shown = {task["id"]: task for task in peer.inspect("list", queue=queue, state="completed")}
    assert {task_id: task["retried"] for task_id, task in shown.items()} == {"python fails": 1, "go fails": 1}


def test_what_one_hands_back_is_run_by_the_other(
    peer: Peer, valkey: Server, queue: str, tmp_path: Path
) -> None:
    """A worker that is told to stop gives its task back; that is no failure."""
    kept = {"queue": queue, "retention_ms": 60_000, "max_retry": 0}
    peer.enqueue([{**kept, "type": "slow", "payload": '{"seconds":60,"go":"ok"}', "id": "from python"}])
    with python_side(valkey.url, tmp_path, queues={queue: 1}, grace=0) as python:
        python.runs.wait_for("from python")
        python.worker.terminate()
    assert peer.inspect("task", queue=queue, id="from python")["state"] == "pending"
    peer.enqueue([{**kept, "type": "record", "payload": '{"go":"sleep:60000"}', "id": "from go"}])
    with peer.work({queue: 1}, shutdown_ms=100, **FAST) as worker:
        assert worker.wait_for_end("from python")["retried"] == 0
        worker.wait_for(
            lambda events: any(e["event"] == "start" and e["id"] == "from go" for e in events),
            20,
            "the second task starts",
        )
    assert peer.inspect("task", queue=queue, id="from go")["state"] == "pending"
    with python_side(valkey.url, tmp_path, queues={queue: 1}) as python:
        python.result("from go", queue).get(20)
        assert python.runs.of(id="from go")[0]["retried"] == 0
    info = peer.inspect("info", queue=queue)
    assert (info["completed"], info["processed"], info["failed"]) == (2, 2, 0)


def test_what_only_go_knows_gets_to_go_although_python_always_is_faster(
    peer: Peer, valkey: Server, queue: str, tmp_path: Path
) -> None:
    """Go asks once a second, a waiting Python worker takes a task within a millisecond: it leaves alone what it has put back."""
    side = python_side(valkey.url, tmp_path, queues={queue: 1}, concurrency=4)
    with side as python, peer.work({queue: 1}, concurrency=4) as worker:
        ids = [answer["id"] for answer in peer.enqueue([{"type": "go:only", "queue": queue}] * 15)]
        for task_id in ids:
            end = worker.wait_for_end(task_id, timeout=40)
            assert (end["retried"], end.get("error")) == (0, None)
        put_back = [sum(task_id in line for line in python.worker.log) for task_id in ids]
    assert sum(put_back) >= 1, "Python was faster at least once"
    assert max(put_back) == 1, "the second time it leaves them to Go"

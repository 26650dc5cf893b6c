"""A worker of one side dies, or stands still, while it runs a task; the other side takes over.

A lease is over after half a minute, and Go waits another for the sake of clocks. The tests set the lease back in the storage
instead of waiting.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import redis

from taskflow import State
from taskflow.worker.timings import Timings
from tests.interop.apps.side import python_side
from tests.interop.golang import Peer
from tests.leases import end_leases
from tests.servers import Server

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

FAST: dict[str, Any] = {"retry_delay_ms": 0, "delayed_check_ms": 100, "task_check_ms": 50}


def left_active_by_go(peer: Peer, queue: str) -> None:
    """Let a Go worker die while it runs the task `id-1`, which Python would do in no time."""
    task = {"type": "record", "payload": '{"go":"sleep:60000"}', "retention_ms": 60_000, "max_retry": 0}
    peer.enqueue([{**task, "queue": queue, "id": "id-1"}])
    with peer.work({queue: 1}, **FAST) as worker:
        worker.wait_for(lambda events: any(e["event"] == "start" for e in events), 20, "the task starts")
        worker.kill()
    assert peer.inspect("task", queue=queue, id="id-1")["state"] == "active"


def test_python_takes_over_from_a_killed_go_worker(
    peer: Peer, valkey: Server, raw: redis.Redis, queue: str, tmp_path: Path
) -> None:
    """Half a minute after the end of its lease, not before: its clock may differ from the server's."""
    left_active_by_go(peer, queue)
    key = f"asynq:{{{queue}}}:lease"
    ended = int(raw.time()[0]) - 24  # type: ignore[index]
    raw.zadd(key, {"id-1": ended})
    with python_side(valkey.url, tmp_path, queues={queue: 1}, timings=Timings(recover=0.3)) as python:
        run = python.runs.wait_for("id-1", timeout=30)
        assert 30 <= run["at"] - ended < 40
        assert run["retried"] == 0  # it has cost no retry
        assert python.result("id-1", queue).get(20) == {"go": "sleep:60000"}


def test_python_takes_over_what_has_long_been_left(
    peer: Peer, valkey: Server, raw: redis.Redis, queue: str, tmp_path: Path
) -> None:
    left_active_by_go(peer, queue)
    end_leases(raw, queue)
    with python_side(valkey.url, tmp_path, queues={queue: 1}) as python:
        python.result("id-1", queue).get(20)
    assert raw.exists(f"asynq:{{{queue}}}:active", f"asynq:{{{queue}}}:lease") == 0
    info = peer.inspect("info", queue=queue)
    assert (info["completed"], info["processed"], info["failed"]) == (1, 1, 0)


def test_go_takes_over_from_a_killed_python_worker(
    peer: Peer, valkey: Server, raw: redis.Redis, queue: str, tmp_path: Path
) -> None:
    """Go counts it as a failure of the task."""
    with python_side(valkey.url, tmp_path, queues={queue: 1}) as python:
        task = python.task("slow").options(queue=queue, retention=60).delay(seconds=60)
        python.runs.wait_for(task.id)
        python.worker.kill()
        end_leases(raw, queue)
        with peer.work({queue: 1}, **FAST) as worker:
            end = worker.wait_for_end(task.id)
            assert task.get(20) is None
    assert end["retried"] == 1
    assert task.info().last_error == "asynq: task lease expired"
    assert raw.exists(f"asynq:{{{queue}}}:active", f"asynq:{{{queue}}}:lease") == 0


def test_a_python_worker_that_comes_back_late_changes_nothing(
    peer: Peer, valkey: Server, raw: redis.Redis, queue: str, tmp_path: Path
) -> None:
    """It stood still, and Go has taken its task: at that moment Go is running it."""
    with python_side(valkey.url, tmp_path, queues={queue: 1}) as python:
        task = python.task("slow").options(queue=queue, retention=60).delay(seconds=1, go="sleep:4000")
        python.runs.wait_for(task.id)
        python.worker.signal(signal.SIGSTOP)  # not its child, which goes on and succeeds
        end_leases(raw, queue)
        with peer.work({queue: 1}, **FAST) as worker:
            worker.wait_for(lambda events: any(e["event"] == "start" for e in events), 20, "Go runs it")
            python.worker.signal(signal.SIGCONT)
            python.worker.wait_for_log(lambda line: task.id in line and "refused" in line)
            assert task.state is State.ACTIVE
            worker.wait_for_end(task.id)
            assert task.get(20) is None  # Go's result, and not "slept"
    info = peer.inspect("info", queue=queue)
    assert (info["completed"], info["processed"], info["failed"]) == (1, 2, 1)

"""Times with a fraction beside Go's whole seconds: nothing starts early, and Go's tools list them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from taskflow import TaskFlow
from taskflow.broker.sync import Broker
from taskflow.errors import TaskFailed
from taskflow.inspector import Inspector
from tests.interop.apps.side import PythonSide
from tests.interop.golang import Peer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

FAST: dict[str, Any] = {"retry_delay_ms": 0, "delayed_check_ms": 20, "task_check_ms": 20}
"""A Go worker that looks far more often than Asynq does: it would find what is due too early."""


def test_a_go_worker_starts_nothing_before_its_time(peer: Peer, app: TaskFlow, queue: str) -> None:
    """It compares whole seconds, so a time with a fraction stands for Go at the next one."""
    delays = [0.15 * number for number in range(1, 9)]
    task = app.get_task("for:go").options
    with peer.work({queue: 1}, **FAST) as worker:
        due = {}
        for delay in delays:
            before = time.time()
            due[task(queue=queue, delay=delay).delay("ok").id] = before + delay
        for task_id in due:
            worker.wait_for_end(task_id)
        starts = {event["id"]: event["at"] for event in worker.events if event["event"] == "start"}
    assert all(starts[task_id] >= at for task_id, at in due.items()), (starts, due)


def test_gos_tools_list_what_has_a_fraction(peer: Peer, app: TaskFlow, queue: str) -> None:
    """asynqmon, and the command of Asynq before 0.26, refuse a page with a single score that is no whole number."""
    app.get_task("for:go").options(queue=queue, id="soon", delay=100.25).delay("ok")
    (found,) = peer.inspect("list", queue=queue, state="scheduled")
    assert found["id"] == "soon"
    peer.inspect("delete", queue=queue, id="soon")


def test_what_has_expired_is_run_by_go_and_not_by_python(
    peer: Peer, app: TaskFlow, queue: str, python: PythonSide
) -> None:
    """Go does not know `expires`, and says nothing of it; documented."""
    result = app.get_task("for:go").options(queue=queue, expires=0).delay("ok")
    with peer.work({queue: 1}, **FAST) as worker:
        worker.wait_for_end(result.id)
    ours = app.get_task("nothing").options(queue=python.queue(), expires=0, retention=60).delay()
    with pytest.raises(TaskFailed, match="expired"):
        ours.get(20)


def test_gos_resume_ends_a_pause_of_ours(peer: Peer, queue: str, broker: Broker) -> None:
    """What our pause writes beside the time is nothing to Go, which only looks whether the key is there."""
    peer.enqueue([{"type": "for:go", "payload": "{}", "queue": queue}])
    inspector = Inspector(broker)
    assert inspector.pause(queue)
    assert peer.inspect("info", queue=queue)["paused"]
    peer.inspect("unpause", queue=queue)
    assert not inspector.queue(queue).paused
    inspector.purge(queue)

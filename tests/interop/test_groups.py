"""Tasks that Go puts into a group are joined and run by a Python worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.golang import Peer
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]


def test_go_enqueues_into_a_group_and_python_runs_it_as_one_task(
    peer: Peer, valkey: Server, queue: str, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    ledger.touch()
    answers = peer.enqueue(
        [
            {
                "type": "tests.lifecycle.app.single",
                "payload": f'{{"number":{n}}}',
                "queue": queue,
                "group": "go",
                "unique_ms": 60000,
            }
            for n in range(5)
        ]
    )
    assert all(answer["ok"] for answer in answers)
    assert peer.inspect("info", queue=queue)["aggregating"] == 5
    environment = {"TASKFLOW_TEST_LEDGER": str(ledger), "TASKFLOW_TEST_GROUPS": queue}
    with WorkerProcess(
        "tests.lifecycle.app", broker=valkey.url, queues={queue: 1}, concurrency=1, environment=environment
    ):
        wait_until(lambda: "joined go:5:10" in ledger.read_text(), description="the five were joined and run")
        wait_until(
            lambda: peer.inspect("info", queue=queue)["size"] == 1, description="only the result is left"
        )
    # The locks of the five are free: an equal task can be enqueued again.
    (again,) = peer.enqueue(
        [
            {
                "type": "tests.lifecycle.app.single",
                "payload": '{"number":0}',
                "queue": queue,
                "group": "go",
                "unique_ms": 60000,
            }
        ]
    )
    assert again["ok"]

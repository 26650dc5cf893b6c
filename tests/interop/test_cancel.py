"""A cancel of ours beside Go: a worker in Go is told in Asynq's own words, and what it puts back is not run by ours."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from taskflow import CancelOutcome, State, TaskFlow
from taskflow.errors import TaskFailed
from tests.interop.golang import Peer
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess

pytestmark = pytest.mark.interop


def test_a_worker_in_go_is_told_and_what_it_retries_is_archived_by_ours(
    peer: Peer, valkey: Server, raw: redis.Redis, queue: str
) -> None:
    """Its context ends, and Go retries what that returns: it knows no mark. The first worker of ours does."""
    app = TaskFlow(f"go-{queue}", broker=valkey.url)
    peer.enqueue(
        [{"type": "for:go", "queue": queue, "id": "slow", "payload": '{"go": "sleep:60000"}', "max_retry": 5}]
    )
    handle: Any = app.result("slow", queue=queue)
    try:
        with peer.work({queue: 1}, retry_delay_ms=0, delayed_check_ms=60_000) as running:
            running.wait_for(
                lambda events: any(event["event"] == "start" for event in events), 20, "it has started"
            )
            # It subscribes beside its first tasks, and what is said before then nobody hears.
            wait_until(lambda: raw.pubsub_numsub("asynq:cancel")[0][1], description="Go listens for cancels")
            assert handle.cancel() is CancelOutcome.ASKED
            running.wait_for_end("slow")
            wait_until(lambda: handle.state is State.RETRY, description="Go retries it")
            running.terminate()
        with WorkerProcess("tests.lifecycle.app", broker=valkey.url, queues={queue: 1}):
            wait_until(lambda: handle.state is State.ARCHIVED, description="it is archived")
        with pytest.raises(TaskFailed, match="cancelled"):
            handle.get(25)
        assert handle.status == "REVOKED"
    finally:
        app.close()


def test_what_waits_is_archived_for_gos_tools_too(peer: Peer, valkey: Server, queue: str) -> None:
    app = TaskFlow(f"go-{queue}", broker=valkey.url)
    peer.enqueue([{"type": "for:go", "queue": queue, "id": "waits", "process_in_ms": 60_000}])
    assert app.result("waits", queue=queue).cancel() is CancelOutcome.CANCELLED
    (shown,) = peer.inspect("list", queue=queue, state="archived")
    assert (shown["id"], shown["last_err"]) == ("waits", "cancelled")
    app.close()

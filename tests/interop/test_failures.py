"""What Python keeps of failures, beside Go: its attempts, and how long a failed task is kept."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import redis

from taskflow import State, TaskFlow
from taskflow.broker.keys import queue_keys
from taskflow.errors import TaskFailed
from taskflow.message.kept import ARCHIVE_SECONDS
from tests.interop.apps.side import python_side
from tests.interop.golang import Peer
from tests.servers import Server, wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

FAST: dict[str, Any] = {"retry_delay_ms": 0, "delayed_check_ms": 100, "task_check_ms": 50}


def test_go_shows_a_failure_with_a_retention_of_its_own_as_any_other_and_deletes_it_in_time(
    peer: Peer, app: TaskFlow, valkey: Server, raw: redis.Redis, queue: str, tmp_path: Path
) -> None:
    """The story: Asynq has no field for it, and trims by the time at which a task stands in `archived`. So it stands there as if
    it had been archived 90 days ago but an hour; when that hour is over, Go's next failure takes it away.
    """
    with python_side(valkey.url, tmp_path, queues={queue: 1}) as python:
        fail = python.task("fail").options(queue=queue, max_retries=0)
        usual = fail.delay(text="usual")
        short = (
            python.task("fail")
            .options(queue=queue, max_retries=0, failure_retention=3600)
            .delay(text="short")
        )
        gone = python.task("fail").options(queue=queue, max_retries=0, failure_retention=0).delay(text="gone")
        for result in (usual, short):
            python.wait_for_state(State.ARCHIVED, result.id, queue)
        python.wait_for_state(None, gone.id, queue)
    shown = {task["id"]: task for task in peer.inspect("list", queue=queue, state="archived")}
    assert list(shown) == [short.id, usual.id], "what ends first is listed first"
    for task_id, text in ((usual.id, "usual"), (short.id, "short")):
        assert (shown[task_id]["last_err"], shown[task_id]["state"]) == (text, "archived")
        assert abs(shown[task_id]["last_failed_at"] - time.time()) < 60
    found = app.inspector.task(queue, short.id)
    assert found.archived_at is not None
    assert abs(found.archived_at.timestamp() - time.time()) < 60
    assert found.expires_at is not None
    assert 3500 < found.expires_at.timestamp() - time.time() <= 3610

    keys = queue_keys(queue)
    raw.zadd(keys.archived, {short.id: time.time() - ARCHIVE_SECONDS - 1})  # an hour later
    with peer.work({queue: 1}, **FAST):
        peer.enqueue(
            [{"type": "any", "payload": '{"go":"fail"}', "queue": queue, "max_retry": 0, "id": "next"}]
        )
        wait_until(
            lambda: app.result("next", queue=queue).state is State.ARCHIVED, description="Go fails one"
        )
    assert {task["id"] for task in peer.inspect("list", queue=queue, state="archived")} == {usual.id, "next"}
    assert not raw.exists(keys.task(short.id))


def test_a_history_outlives_what_go_does_with_the_task_and_go_adds_none(
    peer: Peer, app: TaskFlow, valkey: Server, queue: str, tmp_path: Path
) -> None:
    """Go rewrites the message and leaves the field. Its own failure is the task's error then, and of no known type."""
    with python_side(valkey.url, tmp_path, queues={queue: 1}) as python:
        task = python.task("fail").options(queue=queue, max_retries=0).delay(go="fail")
        python.wait_for_state(State.ARCHIVED, task.id, queue)
    (first,) = app.inspector.task(queue, task.id).attempts
    assert app.inspector.task(queue, task.id).error_type == first.kind != ""
    assert first.ended_at is not None
    later = int(first.ended_at.timestamp()) + 1
    wait_until(lambda: time.time() > later, description="a failure of Go's is told from ours by its second")
    peer.inspect("run", queue=queue, id=task.id)
    with peer.work({queue: 1}, **FAST):
        wait_until(lambda: task.info().last_error == "boom", description="it has failed in Go")
        wait_until(lambda: task.state is State.ARCHIVED, description="Go has archived it")
    found = app.inspector.task(queue, task.id)
    assert found.attempts == (first,)
    assert found.error_type == ""
    with pytest.raises(TaskFailed) as failure:
        task.get(25)
    assert (failure.value.text, failure.value.kind, failure.value.attempts) == ("boom", "", (first,))

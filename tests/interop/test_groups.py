"""Tasks that Go puts into a group are joined and run by a Python worker."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from taskflow.message.task_message import TaskMessage
from tests.interop.golang import Peer
from tests.security import groups_app
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


def test_what_go_puts_unsigned_into_a_group_of_an_app_with_keys_is_not_joined(
    peer: Peer, valkey: Server, queue: str, raw: redis.Redis
) -> None:
    """It is archived unread, as a task that is to be run would be; what was signed is joined without it."""
    (answer,) = peer.enqueue(
        [{"type": "single", "payload": '{"number":9}', "queue": queue, "group": "g", "id": "from-go"}]
    )
    assert answer["ok"]
    app = groups_app.signed
    app.use_broker(valkey.url)
    try:
        for number in (1, 2):
            app.tasks["single"].options(queue=queue, group="g").delay(number=number)
        environment = {"TASKFLOW_TEST_GROUPS": queue}
        with WorkerProcess(
            "tests.security.groups_app:signed",
            broker=valkey.url,
            queues={queue: 1},
            concurrency=1,
            environment=environment,
        ):
            completed = f"asynq:{{{queue}}}:completed"
            wait_until(lambda: raw.zcard(completed) == 1, description="the joined task has run")
        (joined,) = raw.zrange(completed, 0, -1)
        assert app.result(joined.decode(), queue=queue).get(25)["numbers"] == [1, 2]
    finally:
        app.close()
        app._broker = app._client = None
    assert peer.inspect("info", queue=queue)["archived"] == 1
    kept = TaskMessage.decode(raw.hget(f"asynq:{{{queue}}}:t:from-go", "msg"))
    assert (kept.payload, kept.error_msg[:9]) == (b'{"number":9}', "unsigned:")

"""What is stored may be garbage: the worker goes on, and nothing disappears."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from taskflow import errors
from taskflow.broker.sync import Broker
from taskflow.inspector import Inspector
from taskflow.message.task_message import TaskMessage
from taskflow.states import State
from tests.servers import wait_until


def _push(raw: redis.Redis, queue: str, task_id: bytes, message: bytes) -> None:
    raw.hset(f"asynq:{{{queue}}}:t:".encode() + task_id, mapping={"msg": message, "state": "pending"})
    raw.lpush(f"asynq:{{{queue}}}:pending", task_id)


def test_unreadable_bytes_are_archived_as_they_are(
    tasks: Any, worker: Any, broker: Broker, raw: redis.Redis, queue: str
) -> None:
    for task_id, message in ((b"garbage", b"\xff\xfe\xfd"), (b"raw-\xff-id", b"\x00\x01")):
        _push(raw, queue, task_id, message)
    with worker(concurrency=1):
        assert tasks.work.delay("after").get(25) == "after"
        wait_until(lambda: raw.zcard(f"asynq:{{{queue}}}:archived") == 2, description="both are archived")
    for task_id, message in ((b"garbage", b"\xff\xfe\xfd"), (b"raw-\xff-id", b"\x00\x01")):
        task = raw.hgetall(f"asynq:{{{queue}}}:t:".encode() + task_id)
        assert task[b"msg"] == message
        assert task[b"state"] == b"archived"
        assert b"DecodeError" in task[b"error"]
    # Whoever waited for it, or looks at it, is told in words; it was the JSON that the hash holds.
    with pytest.raises(errors.TaskFailed) as raised:
        tasks.app.result("garbage", queue=queue).get(25)
    assert raised.value.text == "3 bytes are not a message in Asynq's format"
    shown = Inspector(broker).task(queue, "garbage")
    assert shown.last_error == raised.value.text


@pytest.mark.broken_keys
def test_an_id_without_a_hash_is_kept_aside_and_a_hash_without_an_id_stays(
    tasks: Any, worker: Any, raw: redis.Redis, queue: str
) -> None:
    raw.lpush(f"asynq:{{{queue}}}:pending", "ghost")
    stray = TaskMessage(type="x", payload=None, id="stray", queue=queue, timeout=60).encode()
    raw.hset(f"asynq:{{{queue}}}:t:stray", mapping={"msg": stray, "state": "pending"})
    with worker(concurrency=1):
        assert tasks.work.delay("after").get(25) == "after"
        # By the fetcher that meets it, or by the sweep that finds it first.
        wait_until(
            lambda: raw.zrange(f"taskflow:{{{queue}}}:orphans", 0, -1) == [b"ghost"],
            description="it is noted",
        )
    assert raw.zrange(f"taskflow:{{{queue}}}:orphans", 0, -1) == [b"ghost"]
    assert raw.hget(f"asynq:{{{queue}}}:t:stray", "msg") == stray
    assert not raw.exists(f"asynq:{{{queue}}}:t:ghost")


def test_an_unknown_name_is_put_back_for_a_worker_that_knows_it(
    tasks: Any, worker: Any, raw: redis.Redis, queue: str
) -> None:
    message = TaskMessage(
        type="from:the:future", payload=b"{}", id="future", queue=queue, timeout=60, max_retries=0
    )
    _push(raw, queue, b"future", message.encode())
    with worker(concurrency=1) as process:
        process.wait_for_log("is not known to this app; put back")
        assert tasks.work.delay("after").get(25) == "after"
    task = raw.hgetall(f"asynq:{{{queue}}}:t:future")
    assert task[b"msg"] == message.encode()
    assert task[b"state"] in (b"scheduled", b"pending")
    assert int(task[b"unknown"]) >= 1


@pytest.mark.parametrize("payload", [b"not json", b"[1,2]", b'{"tag":1}', b'{"tag":"x","extra":1}', b"{}"])
def test_arguments_that_do_not_fit_are_archived_and_never_retried(
    tasks: Any, worker: Any, raw: redis.Redis, queue: str, payload: bytes
) -> None:
    message = TaskMessage(type="tests.lifecycle.app.work", payload=payload, id="bad", queue=queue, timeout=60)
    _push(raw, queue, b"bad", message.encode())
    with worker(burst=True, concurrency=1) as process:
        assert process.wait(20) == 0
    result = tasks.app.result("bad", queue=queue)
    assert result.state is State.ARCHIVED
    with pytest.raises(errors.TaskFailed, match=r"tests\.lifecycle\.app\.work"):
        result.get(1)
    assert result.info().retried == 0

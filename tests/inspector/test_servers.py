"""What the inspector says of running workers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import redis

from taskflow.broker.commands.records import write_server
from taskflow.broker.sync import Broker
from taskflow.inspector import Inspector
from taskflow.message.records import ServerInfo, Timestamp, WorkerInfo


@pytest.fixture(autouse=True)
def _clean(raw: redis.Redis) -> Iterator[None]:
    yield
    raw.delete("asynq:servers", "asynq:workers")


def record(broker: Broker, host: str, pid: int, *tasks: WorkerInfo) -> None:
    info = ServerInfo(
        host=host,
        pid=pid,
        server_id=f"id-{pid}",
        concurrency=4,
        queues={"low": 1, "critical": 6},
        start_time=Timestamp(1_700_000_000, 5),
        active_worker_count=len(tasks),
    )
    running = [(task.task_id, task.encode()) for task in tasks]
    for reply in broker.run_many(write_server(host, pid, f"id-{pid}", info.encode(), running, time.time())):
        assert not isinstance(reply, Exception)


def test_running_workers_are_listed_with_their_tasks(inspector: Inspector, broker: Broker) -> None:
    started = Timestamp(1_700_000_001)
    task = WorkerInfo(
        "b", 2, "id-2", "t1", "shop:pay", b"secret", "critical", started, Timestamp(1_700_001_800)
    )
    record(broker, "b", 2, task)
    record(broker, "a", 9)
    found = inspector.servers()
    assert [(one.host, one.pid, one.active) for one in found] == [("a", 9, 0), ("b", 2, 1)]
    second = found[1]
    assert second.queues == {"critical": 6, "low": 1}
    assert second.started == datetime.fromtimestamp(1_700_000_000, UTC)
    (running,) = second.running
    assert (running.id, running.type, running.queue) == ("t1", "shop:pay", "critical")
    assert "secret" not in repr(second)


def test_a_killed_worker_is_not_listed(inspector: Inspector, broker: Broker, raw: redis.Redis) -> None:
    """Its record expires; its name stays in the index until somebody reads."""
    record(broker, "a", 1)
    raw.zadd("asynq:servers", {"asynq:servers:{gone:1:x}": time.time() + 100, "nonsense": 5, b"\xff": 6})
    assert [one.host for one in inspector.servers()] == ["a"]


def test_a_record_that_cannot_be_read_hides_no_other(
    inspector: Inspector, broker: Broker, raw: redis.Redis
) -> None:
    record(broker, "a", 1)
    raw.zadd("asynq:servers", {"asynq:servers:{bad:1:x}": time.time() + 100})
    raw.set("asynq:servers:{bad:1:x}", b"\xff\xff", ex=10)
    raw.hset("asynq:workers:{a:1:id-1}", "t2", b"\xff\xff")
    (found,) = inspector.servers()
    assert found.running == ()


def test_nobody_runs(inspector: Inspector) -> None:
    assert inspector.servers() == []


def test_a_key_that_is_no_record_hides_no_other(
    inspector: Inspector, broker: Broker, raw: redis.Redis
) -> None:
    """One key of a wrong type under a name in the index ended `taskflow server ls` with an error about it."""
    record(broker, "a", 7)
    raw.zadd("asynq:servers", {"asynq:servers:{wrong:1:x}": time.time() + 100})
    raw.lpush("asynq:servers:{wrong:1:x}", "garbage")
    raw.delete("asynq:workers:{a:7:id-7}")
    raw.set("asynq:workers:{a:7:id-7}", "garbage", ex=10)
    (found,) = inspector.servers()
    assert (found.host, found.running) == ("a", ())
    raw.delete("asynq:servers:{wrong:1:x}")

"""Whether anybody works: what the doctor says of queues that nobody serves, and of tasks that nobody can run."""

from __future__ import annotations

from dataclasses import replace

import pytest
import redis

from taskflow import TaskFlow
from taskflow.broker.keys import ALL_SERVERS
from taskflow.broker.sync import Broker
from taskflow.inspector import Inspector
from taskflow.inspector.doctor import Finding, Severity
from taskflow.partitions import partition_name
from taskflow.states import State
from tests.inspector.ask import examine
from tests.inspector.stored import Stored
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess

APP = """
from taskflow import TaskFlow
from taskflow.tasks import outcome
outcome.UNKNOWN_FIRST_DELAY = 0.2  # and not 2 s, then 4
app = TaskFlow("shop")
@app.task(name="known")
def known() -> None: ...
"""


def of_workers(broker: Broker, *queues: str) -> list[Finding]:
    return [one for one in examine(broker, queues).findings if one.where == "workers"]


@pytest.fixture(autouse=True)
def nobody_works(raw: redis.Redis) -> None:
    raw.delete(ALL_SERVERS)


def test_tasks_that_no_running_worker_would_take_are_an_error(stored: Stored, broker: Broker) -> None:
    """A typo in `-Q`, a worker that was never deployed: the doctor said "All is well"."""
    stored.put(State.PENDING, "t")
    (found,) = of_workers(broker, stored.queue)
    assert (found.severity, found.code, found.examples) == (Severity.ERROR, "unserved-queue", (stored.queue,))
    assert "no running worker serves them" in found.what
    stored.served()
    assert of_workers(broker, stored.queue) == []


@pytest.mark.parametrize("state", [State.SCHEDULED, State.RETRY, State.AGGREGATING])
def test_tasks_for_later_that_nobody_would_take_are_a_warning(
    stored: Stored, broker: Broker, state: State
) -> None:
    stored.put(state, "t")
    (found,) = of_workers(broker, stored.queue)
    assert (found.severity, found.code) == (Severity.WARNING, "unserved-queue")


@pytest.mark.parametrize("state", [State.ARCHIVED, State.COMPLETED])
def test_a_queue_in_which_nothing_waits_needs_no_worker(stored: Stored, broker: Broker, state: State) -> None:
    stored.put(state, "t")
    assert of_workers(broker, stored.queue) == []


def test_who_serves_a_queue_serves_its_partitions(stored: Stored, broker: Broker, raw: redis.Redis) -> None:
    part = Stored(broker, raw, partition_name(stored.queue, 1))
    part.put(State.PENDING, "t")
    assert [one.examples for one in of_workers(broker, stored.queue, part.queue)] == [(part.queue,)]
    stored.served()
    assert of_workers(broker, stored.queue, part.queue) == []


def test_a_task_that_no_worker_knows_is_named(
    valkey: Server, stored: Stored, broker: Broker, project: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renamed task, the old release's: put back for a growing while, for ever, beside a worker that is well."""
    from pathlib import Path

    Path("shop.py").write_text(APP)
    old = TaskFlow("old", broker=valkey.url)
    renamed = old.task(name="shop:renamed")(lambda: None).options(queue=stored.queue).delay()
    with WorkerProcess("shop", directory=Path.cwd(), broker=valkey.url, queues={stored.queue: 1}):
        wait_until(
            lambda: int(stored.raw.hget(stored.keys.task(renamed.id), "unknown") or 0) >= 2,
            timeout=30,
            description="it was put back twice",
        )
        (found,) = of_workers(broker, stored.queue)
    old.close()
    assert (found.severity, found.code, found.count) == (Severity.ERROR, "unknown-task", 1)
    assert found.examples == (f"'shop:renamed' in queue '{stored.queue}'",)


def test_a_first_put_back_may_find_its_worker(stored: Stored, broker: Broker) -> None:
    """In a mixed fleet, and while a release is rolled out, that happens all the time."""
    stored.put(State.SCHEDULED, "t")
    stored.served()
    stored.raw.hset(stored.keys.task("t"), "unknown", 1)
    assert of_workers(broker, stored.queue) == []
    stored.raw.hset(stored.keys.task("t"), "unknown", 2)
    assert [one.code for one in of_workers(broker, stored.queue)] == ["unknown-task"]


def test_a_record_of_a_wrong_type_hides_no_worker(stored: Stored, broker: Broker, raw: redis.Redis) -> None:
    """One key that somebody wrote ended `server ls`, and the doctor with it."""
    stored.served()
    keys = {f"{ALL_SERVERS}:{{other:{number}:x}}": 2**32 for number in range(3)}
    raw.zadd(ALL_SERVERS, keys)
    first, second, third = keys
    raw.lpush(first, "x")
    raw.set(second, b"\xff")
    raw.set(third, raw.get(f"{ALL_SERVERS}:{{host:1:test}}") or b"")
    raw.set("asynq:workers:{other:2:x}", "x")
    try:
        found = Inspector(broker).servers()
        assert [one.host for one in found] == ["host", "host"]
        assert replace(found[0], running=()) == replace(found[1], running=())
    finally:
        raw.delete(*keys, "asynq:workers:{other:2:x}", ALL_SERVERS)

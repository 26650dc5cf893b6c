"""A worker heals its queue while it works, and steals nothing from whoever is at work."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from taskflow.broker.sync import Broker
from taskflow.message.task_message import TaskMessage
from taskflow.states import State
from taskflow.testing.keyspace import check_queue
from taskflow.worker.timings import Timings
from tests.inspector.stored import Stored
from tests.lifecycle.conftest import Ledger
from tests.servers import Server, wait_until

QUICK = Timings(sweep=0.3, second_look=0.5, trial=2, lease_extension=0.5, recover=0.3)


@pytest.fixture
def stored(broker: Broker, raw: redis.Redis, queue: str) -> Stored:
    return Stored(broker, raw, queue)


def lost_by_go(stored: Stored, task_id: str, payload: bytes) -> None:
    """A task in active without lease and owner: what a dequeue of Go's leaves that fails half-way."""
    message = TaskMessage(
        type="tests.lifecycle.app.work",
        payload=payload,
        id=task_id,
        queue=stored.queue,
        timeout=60,
        retention=60,
    )
    stored.raw.hset(stored.keys.task(task_id), mapping={"msg": message.encode(), "state": "active"})
    stored.raw.lpush(stored.keys.active, task_id)


def test_what_go_left_active_without_a_lease_runs_within_fifteen_seconds(
    tasks: Any, worker: Callable[..., Any], ledger: Ledger, stored: Stored, broker: Broker
) -> None:
    with worker(concurrency=2) as process:
        lost_by_go(stored, "lost", b'{"tag":"lost"}')
        started = time.monotonic()
        ledger.wait_for("end", "lost", timeout=20)
        assert time.monotonic() - started < 15
        process.wait_for_log("active without a lease")
        assert int(stored.raw.hget(stored.keys.task("lost"), "recoveries")) == 1
        assert ledger.count("start", "lost") == 1
    assert check_queue(broker, stored.queue) == []


@pytest.mark.parametrize("what", ["lease", "active"])
def test_a_task_whose_lease_or_place_is_gone_runs_on_and_only_once(
    tasks: Any, worker: Callable[..., Any], ledger: Ledger, stored: Stored, broker: Broker, what: str
) -> None:
    """Its worker lives: it gets the chance to say so, and nobody else runs it."""
    with worker(concurrency=2, timings=QUICK) as process:
        tasks.work.delay("long", 4.0)  # longer than two looks and the lease on trial
        ledger.wait_for("start", "long")
        stored.raw.delete(stored.keys.state(what))
        wait_until(
            lambda: check_queue(broker, stored.queue) == [], description="it is active and leased again"
        )
        ledger.wait_for("end", "long", timeout=30)
        wait_until(lambda: not stored.raw.exists(stored.keys.active), description="it is finished")
        assert ledger.count("start", "long") == 1
        assert not any("refused" in line for line in process.log)
    assert check_queue(broker, stored.queue) == []


@pytest.mark.broken_keys
def test_everything_that_a_sweep_can_see_is_healed_and_work_goes_on(
    tasks: Any, worker: Callable[..., Any], ledger: Ledger, stored: Stored, broker: Broker, raw: redis.Redis
) -> None:
    keys = stored.keys
    for state in (State.SCHEDULED, State.RETRY, State.ARCHIVED, State.COMPLETED, State.AGGREGATING):
        for kind in ("gone", "stateless", "string"):
            stored.put(state, f"{state}-{kind}")
        raw.delete(keys.task(f"{state}-gone"))
        raw.hdel(keys.task(f"{state}-stateless"), "state")
        raw.delete(keys.task(f"{state}-string"))
        raw.set(keys.task(f"{state}-string"), "x")
    stored.put(State.AGGREGATING, "in-a-set")
    set_key = stored.aggregation_set("g1", "in-a-set")
    raw.zadd(keys.aggregation_sets, {set_key: 5})
    raw.sadd(keys.groups, "empty")
    with worker(concurrency=2, timings=QUICK) as process:
        lost_by_go(stored, "lost", b'{"tag":"lost"}')
        tasks.work.delay("first").get(25)

        def strings_only() -> bool:
            lines = check_queue(broker, stored.queue)
            return all("not-a-task" in line and "nowhere" in line for line in lines)

        wait_until(strings_only, description="all is healed", timeout=30)
        ledger.wait_for("end", "lost", timeout=20)
        assert tasks.work.delay("second").get(25) == "second"
        assert not any("Traceback" in line or " ERROR " in line for line in process.log)
    gone = {one.decode() for one in raw.zrange(keys.orphans, 0, -1)}
    states = ("scheduled", "retry", "archived", "completed", "aggregating")
    assert gone == {f"{state}-{kind}" for state in states for kind in ("gone", "string")}
    assert raw.smembers(keys.groups) == {b"g1"}
    assert raw.zrange(keys.group("g1"), 0, -1) == [b"aggregating-stateless", b"in-a-set"]


def test_an_idle_worker_sends_few_commands(tasks: Any, worker: Callable[..., Any], valkey: Server) -> None:
    """The sweep included; counted for six seconds, without what scripts do inside.

    The look for partitions that stand in no index, an EXISTS for each, comes once in five minutes: a fifth of a command
    a second, which would all be counted here.
    """
    seconds = 6.0
    with worker(concurrency=2), socket.create_connection(("127.0.0.1", valkey.port)) as monitor:
        time.sleep(1)
        monitor.sendall(b"MONITOR\r\n")
        deadline = time.monotonic() + seconds
        lines = b""
        while (left := deadline - time.monotonic()) > 0:
            monitor.settimeout(left)
            with contextlib.suppress(TimeoutError):
                lines += monitor.recv(65536)
    sent = [line for line in lines.splitlines()[1:] if b" lua] " not in line]
    commands = [line for line in sent if b'"EXISTS" "asynq:{' not in line or b"~" not in line]
    assert 0 < len(commands) / seconds < 5, commands

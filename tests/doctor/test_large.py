"""Twenty thousand ids in every place, sound and broken: no script takes more than ten milliseconds.

Measured is the time that the server's main thread computes: what SLOWLOG shows on a busy machine is mostly the
wait for a processor (a ZSCORE of 30 ms).
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from taskflow.broker.commands.maintenance import expire, forward, recover
from taskflow.broker.commands.sweep import Outcome
from taskflow.broker.keys import QueueKeys, queue_keys
from taskflow.broker.sync import Broker
from taskflow.broker.walk import FirstLooks, Walk
from taskflow.connection.sync import SyncDriver
from taskflow.inspector.doctor import examine
from taskflow.message.task_message import TaskMessage
from tests.commands.test_sweep import Sweep
from tests.servers import Server

COUNT = 20_000
MOST = 10.0
QUEUE = "large"
KEYS = queue_keys(QUEUE)
PLACES = ("pending", "active", "scheduled", "retry", "archived", "completed", "g:one", "g:many")


class Measured(Broker):
    """Notes what every command costs the server."""

    def __init__(self, url: str, raw: redis.Redis) -> None:
        super().__init__(SyncDriver(url))
        self.raw = raw
        self.costs: dict[str, list[float]] = {}

    def run(self, command: Any, timeout: float = 30.0) -> Any:
        before = self._used()
        value = super().run(command, timeout)
        self.costs.setdefault(command.name, []).append(self._used() - before)
        return value

    def _used(self) -> float:
        cpu = self.raw.info("cpu")
        used: float = cpu["used_cpu_user_main_thread"] + cpu["used_cpu_sys_main_thread"]
        return used

    def over(self, milliseconds: float) -> dict[str, float]:
        """The commands that cost more, each with its most."""
        return {
            name: max(costs) * 1000 for name, costs in self.costs.items() if max(costs) * 1000 > milliseconds
        }


@pytest.fixture
def large(own_server: Server) -> Iterator[tuple[redis.Redis, Measured]]:
    raw = redis.Redis(port=own_server.port)
    broker = Measured(own_server.url, raw)
    yield raw, broker
    broker.close()
    raw.close()


def fill(raw: redis.Redis, keys: QueueKeys, spoil: Callable[[dict[str, object], str, int], None]) -> None:
    """Tasks in every place, as Go would write them; `spoil` changes the hash of each before it is written."""
    message = TaskMessage(type="noop", payload=b"x" * 200, id="x", queue=QUEUE, timeout=60).encode()
    later = int(time.time()) + 5000
    for place in PLACES:
        pipe = raw.pipeline(transaction=False)
        for number in range(COUNT):
            task_id = str(uuid.uuid4())
            group = {"g:one": "one", "g:many": f"many{number % 500}"}.get(place, "")
            fields: dict[str, object] = {"msg": message, "state": "aggregating" if group else place}
            if group:
                fields["group"] = group
            spoil(fields, place, number)
            if fields:
                pipe.hset(keys.task(task_id), mapping=fields)
            if place in ("pending", "active"):
                pipe.lpush(keys.state(place), task_id)
            elif group:
                pipe.zadd(keys.group(group), {task_id: number})
                pipe.sadd(keys.groups, group)
            else:
                pipe.zadd(keys.state(place), {task_id: later})
            if place == "active" and fields:
                pipe.zadd(keys.lease, {task_id: later})
            if number % 1000 == 999:
                pipe.execute()
        pipe.execute()


def sound(fields: dict[str, object], place: str, number: int) -> None:
    """Nothing is broken."""


def broken(fields: dict[str, object], place: str, number: int) -> None:
    """Half of the ids have no task, no state, or one that says something else, which costs most to look up."""
    if number % 8 == 0:
        fields.clear()
    elif number % 8 == 1:
        del fields["state"]
    elif number % 8 in (2, 3):
        fields["state"] = ("pending", "active", "retry", "aggregating")[number // 8 % 4]


def test_no_look_at_a_sound_queue_takes_ten_milliseconds(large: tuple[redis.Redis, Measured]) -> None:
    raw, broker = large
    fill(raw, KEYS, sound)
    assert Sweep(broker.run, QUEUE).sweep() == []
    assert len(broker.costs["survey"]) >= 8 * COUNT / 400
    diagnosis = examine(broker, [QUEUE])
    assert [one for one in diagnosis.findings if one.where.startswith("queue")] == []
    assert broker.over(MOST) == {}


def test_nor_does_a_step_of_a_sweep(large: tuple[redis.Redis, Measured]) -> None:
    """For twenty seconds; a worker goes on like this."""
    raw, broker = large
    fill(raw, KEYS, broken)
    swept, walk, looks = Sweep(broker.run, QUEUE), Walk(QUEUE), FirstLooks()
    deadline = time.monotonic() + 20
    healed: Counter[Outcome] = Counter()
    while time.monotonic() < deadline and not walk.rounds:
        found = broker.run(walk.look())
        walk.take(found)
        for settled in swept.settle(looks.items(found.suspects, 0)):
            walk.note(settled)
            healed[settled.outcome] += 1
    assert healed[Outcome.ORPHANED] > 1000
    assert healed[Outcome.MENDED] > 1000
    assert healed[Outcome.FAILED] == 0
    assert broker.over(MOST) == {}


def test_nor_does_a_step_of_a_recovery_or_a_repair(large: tuple[redis.Redis, Measured]) -> None:
    raw, broker = large
    fill(raw, KEYS, sound)
    ids = [name.decode() for name in raw.lrange(KEYS.active, 0, -1)]
    raw.zadd(KEYS.lease, dict.fromkeys(ids, 5))
    raw.zadd(KEYS.scheduled, dict.fromkeys(raw.zrange(KEYS.scheduled, 0, -1), 5))
    raw.zadd(KEYS.completed, dict.fromkeys(raw.zrange(KEYS.completed, 0, -1), 5))
    raw.delete(KEYS.retry, KEYS.archived, KEYS.groups)
    recovered = 0
    while done := broker.run(recover(QUEUE)):
        recovered += len(done)
    assert recovered == COUNT
    while broker.run(forward(QUEUE)).moved:
        pass
    while broker.run(expire(QUEUE)):
        pass
    assert broker.over(MOST) == {}
    diagnosis = examine(broker, [QUEUE], fix=True)
    assert [one for one in diagnosis.findings if one.where.startswith("queue")] == []
    assert broker.over(MOST) == {}
    assert raw.zcard(KEYS.archived) == COUNT

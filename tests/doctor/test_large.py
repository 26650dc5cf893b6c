"""Ten thousand ids in every place, sound and broken: no script takes more than ten milliseconds.

Measured is the time that the server's main thread computes: what SLOWLOG shows on a busy machine is mostly the
wait for a processor (a ZSCORE of 30 ms).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from taskflow.broker.commands.maintenance import expire, forward, recover
from taskflow.broker.commands.repairs import Repair
from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.broker.walk import FirstLooks, Walk
from taskflow.connection.sync import SyncDriver
from taskflow.message.task_message import TaskMessage
from tests.commands.test_sweep import Sweep
from tests.inspector.ask import examine
from tests.servers import Server, start_server

pytestmark = pytest.mark.timeout(400)  # the end of a process is the end of the whole run

COUNT = 10_000
MOST = 10.0
QUEUE = "large"
KEYS = queue_keys(QUEUE)
PLACES = ("pending", "active", "scheduled", "retry", "archived", "completed", "g:one", "g:many")


class Measured(Broker):
    """Notes what every command costs the server."""

    def __init__(self, server: Server) -> None:
        super().__init__(SyncDriver(server.url))
        # To ask the server would cost more than most commands do. Nanoseconds on a processor come first.
        self._main_thread = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/schedstat")
        self.costs: dict[str, list[float]] = {}

    def run(self, command: Any, timeout: float = 30.0) -> Any:
        before = self._used()
        value = super().run(command, timeout)
        self.costs.setdefault(command.name, []).append(self._used() - before)
        return value

    def _used(self) -> float:
        return int(self._main_thread.read_text().split()[0]) / 1e9

    def over(self, milliseconds: float) -> dict[str, float]:
        """The commands that cost more, each with its most."""
        return {
            name: max(costs) * 1000 for name, costs in self.costs.items() if max(costs) * 1000 > milliseconds
        }


@pytest.fixture
def large(tmp_path: Path) -> Iterator[tuple[redis.Redis, Measured]]:
    # Without an append-only file: the fork for its rewriting counts as the main thread's time, too.
    server = start_server(tmp_path)
    raw = redis.Redis(port=server.port)
    broker = Measured(server)
    yield raw, broker
    broker.close()
    raw.close()
    server.stop()


# Tasks in one place, as Go would write them. `broken`: half of the ids have no task, no state, or one that says something else,
# which costs most to look up.
FILL = """
local place, group, first, last, msg, prefix, later, broken = unpack(ARGV)
for number = tonumber(first), tonumber(last) do
  local id = redis.sha1hex(place .. number)
  id = string.sub(id, 1, 8) .. '-' .. string.sub(id, 9, 36)
  local key, state = prefix .. 't:' .. id, place
  local name = group == 'many' and 'many' .. number % 500 or group
  if name ~= '' then state = 'aggregating' end
  local spoiled = broken == '1' and number % 8 or 9
  if spoiled == 2 or spoiled == 3 then state = ({'pending', 'active', 'retry', 'aggregating'})[math.floor(number / 8) % 4 + 1] end
  if spoiled ~= 0 then
    redis.call('HSET', key, 'msg', msg)
    if spoiled ~= 1 then redis.call('HSET', key, 'state', state) end
    if name ~= '' then redis.call('HSET', key, 'group', name) end
    if place == 'active' then redis.call('ZADD', prefix .. 'lease', later, id) end
  end
  if name ~= '' then
    redis.call('ZADD', prefix .. 'g:' .. name, number, id)
    redis.call('SADD', prefix .. 'groups', name)
  elseif place == 'pending' or place == 'active' then
    redis.call('LPUSH', prefix .. place, id)
  else
    redis.call('ZADD', prefix .. place, later, id)
  end
end
"""


def fill(raw: redis.Redis, *places: str, broken: bool = False) -> None:
    message = TaskMessage(type="noop", payload=b"x" * 200, id="x", queue=QUEUE, timeout=60).encode()
    later = int(time.time()) + 5000
    script = raw.register_script(FILL)
    for place in places or PLACES:
        group = place.partition(":")[2]
        for first in range(0, COUNT, 1000):
            script(args=[place, group, first, first + 999, message, KEYS.prefix, later, int(broken)])


def test_no_look_at_a_sound_queue_takes_ten_milliseconds(large: tuple[redis.Redis, Measured]) -> None:
    raw, broker = large
    fill(raw)
    assert Sweep(broker.run, QUEUE).sweep() == []
    assert len(broker.costs["survey"]) >= 8 * COUNT / 400
    diagnosis = examine(broker, [QUEUE])
    assert [one.code for one in diagnosis.findings if one.where.startswith("queue")] == ["forgotten-group"]
    assert broker.over(MOST) == {}


def test_nor_does_a_step_of_a_sweep(large: tuple[redis.Redis, Measured]) -> None:
    """For some seconds, or until there was some of each; a worker goes on like this."""
    raw, broker = large
    fill(raw, broken=True)
    swept, walk, looks = Sweep(broker.run, QUEUE), Walk(QUEUE), FirstLooks()
    deadline = time.monotonic() + 3
    healed: Counter[Repair] = Counter()
    few = (Repair.ORPHANED, Repair.MENDED)
    while not walk.rounds and (time.monotonic() < deadline or min(healed[one] for one in few) <= 1000):
        found = broker.run(walk.look())
        walk.take(found)
        for repaired in swept.repair(looks.items(found.doubtful, 0)):
            walk.note(repaired)
            healed[repaired.repair] += 1
    assert healed[Repair.ORPHANED] > 1000
    assert healed[Repair.MENDED] > 1000
    assert healed[Repair.FAILED] == 0
    assert broker.over(MOST) == {}


def test_nor_does_a_step_of_a_recovery_or_a_repair(large: tuple[redis.Redis, Measured]) -> None:
    raw, broker = large
    fill(raw, "active", "scheduled", "completed", "archived", "g:many")
    ids = [name.decode() for name in raw.lrange(KEYS.active, 0, -1)]
    raw.zadd(KEYS.lease, dict.fromkeys(ids, 5))
    raw.zadd(KEYS.scheduled, dict.fromkeys(raw.zrange(KEYS.scheduled, 0, -1), 5))
    raw.zadd(KEYS.completed, dict.fromkeys(raw.zrange(KEYS.completed, 0, -1), 5))
    raw.delete(KEYS.archived, KEYS.groups)
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
    assert [one.code for one in diagnosis.findings if one.where.startswith("queue")] == ["forgotten-group"]
    assert broker.over(MOST) == {}
    assert raw.zcard(KEYS.archived) == COUNT

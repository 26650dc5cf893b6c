"""The property model notices what a script forgets; `python -m tests.properties.mutants` tries every line of all of them."""

from __future__ import annotations

import pytest
import redis

from taskflow.broker.sync import Broker
from tests.properties.machine import Groups
from tests.properties.mutants import instead, is_noticed, mutants
from tests.properties.place import Place, fresh_name

FORGOTTEN = {
    "refuse": (
        "redis.call('ZREM', group_key, id)",
        "redis.call('HSET', task, 'state', 'scheduled')",
        "redis.call('HINCRBY', task, 'unknown', 1)",
        "redis.call('DEL', lock)",
        "if message ~= '' then redis.call('HSET', task, 'msg', message) end",
    ),
    "join": ("redis.call('ZREM', group_key, id)",),
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("script", "line"), [(script, line) for script, lines in FORGOTTEN.items() for line in lines]
)
def test_the_model_notices_a_write_that_a_script_forgets(
    broker: Broker, raw: redis.Redis, script: str, line: str
) -> None:
    (mutant,) = [mutant for _, text, mutant in mutants(script) if text == line]
    with instead(script, mutant):
        assert is_noticed(Place(broker, raw, fresh_name()), [Groups, Groups])

"""The property model notices what a script forgets; `python -m tests.properties.mutants` tries every line of all of them."""

from __future__ import annotations

import pytest
import redis

from taskflow.broker.sync import Broker
from tests.properties.mutants import instead, is_noticed, mutants
from tests.properties.place import Place, fresh_name

FORGOTTEN = {
    "refuse": (
        "redis.call('ZREM', group_key, id)",
        "redis.call('HSET', task, 'state', 'scheduled')",
        "if redis.call('EXISTS', group_key) == 0 then redis.call('SREM', groups, group) end",
    ),
    "join": ("redis.call('ZREM', group_key, id)",),
}
"""Lines that are missed soon: each of the others is noticed, too, but some of them after minutes."""


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("script", "line"), [(script, line) for script, lines in FORGOTTEN.items() for line in lines]
)
def test_the_model_notices_a_write_that_a_script_forgets(
    broker: Broker, raw: redis.Redis, script: str, line: str
) -> None:
    (mutant,) = [mutant for _, text, mutant in mutants(script) if text == line]
    with instead(script, mutant):
        assert is_noticed(Place(broker, raw, fresh_name()))

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from taskflow.broker.sync import Broker
from taskflow.inspector import Inspector
from tests.inspector.ask import OnALoop
from tests.inspector.stored import Stored
from tests.servers import Server


@pytest.fixture
def stored(broker: Broker, raw: redis.Redis, queue: str) -> Stored:
    """Writes tasks into a queue of the test's own."""
    return Stored(broker, raw, queue)


@pytest.fixture(params=["thread", "loop"])
def inspector(request: pytest.FixtureRequest, broker: Broker, valkey: Server) -> Iterator[Any]:
    """An `Inspector`, and an `AsyncInspector` that is used like one: all that the one is tested for holds for the other."""
    if request.param == "thread":
        yield Inspector(broker)
        return
    on_a_loop = OnALoop(valkey.url)
    yield on_a_loop
    on_a_loop.close()

from __future__ import annotations

import pytest
import redis

from taskflow.broker.sync import Broker
from taskflow.inspector import Inspector
from tests.inspector.stored import Stored


@pytest.fixture
def stored(broker: Broker, raw: redis.Redis, queue: str) -> Stored:
    """Writes tasks into a queue of the test's own."""
    return Stored(broker, raw, queue)


@pytest.fixture
def inspector(broker: Broker) -> Inspector:
    return Inspector(broker)

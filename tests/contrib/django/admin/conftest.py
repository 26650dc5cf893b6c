"""The site and its people, for all tests of the admin's pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from taskflow.broker.sync import Broker
from tests.contrib.django.admin.site import Person, Site, running
from tests.inspector.stored import Stored
from tests.servers import Server


@pytest.fixture(scope="session")
def site(valkey: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("admin"), valkey.url) as found:
        yield found


@pytest.fixture
def admin(site: Site) -> Person:
    """Somebody who may do everything."""
    return site.as_("admin")


@pytest.fixture
def stored(broker: Broker, raw: redis.Redis, queue: str) -> Stored:
    return Stored(broker, raw, queue)

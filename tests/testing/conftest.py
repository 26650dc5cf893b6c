"""The private server of this package's tests is ended with the last of them, so that no other test finds its process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taskflow.testing import Sandbox, sandbox
from taskflow.testing.servers import servers


@pytest.fixture(scope="module")
def _servers() -> Iterator[None]:
    """Started here, so that it is the module's and no test's."""
    servers.empty("server")
    yield
    servers.stop()


@pytest.fixture
def box(_servers: None) -> Iterator[Sandbox]:
    with sandbox() as box:
        yield box

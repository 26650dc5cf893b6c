"""The Go peer on the one server of the tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.interop.golang import GoUnavailable, Peer, build_peer
from tests.servers import Server


@pytest.fixture(scope="session")
def peer_binary() -> Path:
    """The peer's executable; without Go the test is skipped, but in CI it fails."""
    try:
        return build_peer()
    except GoUnavailable as error:
        reason = str(error)
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def peer(peer_binary: Path, valkey: Server) -> Peer:
    """Asynq in Go on the one server."""
    return Peer(peer_binary, valkey.address)

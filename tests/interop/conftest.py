"""The Go peer on the one server of the tests, and a Python app beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow import TaskFlow
from tests.interop.apps.handlers import build
from tests.interop.apps.side import PythonSide, python_side
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


@pytest.fixture
def app(valkey: Server) -> Iterator[TaskFlow]:
    """The app of apps/handlers.py on the one server; nobody works for it."""
    app = build(valkey.url)
    yield app
    app.close()


@pytest.fixture(scope="module")
def python(valkey: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PythonSide]:
    """That app with a worker, which the tests of a module share: each takes a queue of its own from it."""
    with python_side(valkey.url, tmp_path_factory.mktemp("python"), spare=56, concurrency=8) as side:
        yield side

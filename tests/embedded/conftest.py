"""Directories whose servers are killed at the end, whatever the test did."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow.embedded import EmbeddedConfig
from tests.embedded.support import end_all


@pytest.fixture(scope="session", autouse=True)
def runtime_directory() -> Iterator[Path]:
    """Sockets go to a directory of the session, not to the user's; short, as a socket's path must be."""
    with (
        tempfile.TemporaryDirectory(prefix="tf-", dir="/tmp") as directory,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("XDG_RUNTIME_DIR", directory)
        yield Path(directory)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A data directory that does not exist yet."""
    directory = tmp_path / "data"
    yield directory
    end_all(directory)


@pytest.fixture
def config(directory: Path) -> EmbeddedConfig:
    """One server in that directory."""
    return EmbeddedConfig(directory)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedConfig]:
    """A directory for a cluster that the tests of a module share; each begins with `ensure`, which heals."""
    directory = tmp_path_factory.mktemp("cluster") / "data"
    yield EmbeddedConfig(directory, nodes=6)
    end_all(directory)

"""Nodes of clusters, started before they are wanted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clusters import spare_nodes


@pytest.fixture(scope="session", autouse=True)
def _spare_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nearly as many as this folder takes; whoever finds none left starts one."""
    with spare_nodes(tmp_path_factory.mktemp("spare"), 12):
        yield

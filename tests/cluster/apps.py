"""An app of the other tests on the cluster, whole before and afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from taskflow import TaskFlow
from tests.conftest import Cluster


@contextmanager
def on_cluster(app: TaskFlow, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskFlow]:
    """The app, which finds its broker in the environment, on the cluster."""
    cluster.heal()
    monkeypatch.setenv("TASKFLOW_BROKER", cluster.url)
    app._client = None
    yield app
    app.close()
    app._client = None
    cluster.heal()

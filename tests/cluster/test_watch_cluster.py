"""Watching a task on a real six-node cluster while the node that it is on dies."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskflow import LogLines, Progress, State, TaskFlow, Verdict
from tests.cluster.apps import on_cluster
from tests.conftest import Cluster
from tests.lifecycle import talking_app
from tests.workers import WorkerProcess

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def app(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskFlow]:
    with on_cluster(talking_app.app, cluster, monkeypatch) as app:
        yield app


@pytest.fixture
def worker(cluster: Cluster, queue: str) -> Iterator[WorkerProcess]:
    with WorkerProcess(
        "tests.lifecycle.talking_app", broker=cluster.url, queues={queue: 1}, concurrency=4
    ) as process:
        yield process


async def _watched(handle: Any, on_event: Callable[[Any], None]) -> list[Any]:
    events = []
    async for event in handle.watch(60):
        events.append(event)
        on_event(event)
    await talking_app.app.aclose()
    return events


@pytest.mark.parametrize("way", ["thread", "coroutine"])
def test_a_watch_outlives_the_node_that_its_task_is_on(
    app: TaskFlow, worker: WorkerProcess, cluster: Cluster, queue: str, way: str
) -> None:
    """The channel dies with the node, reports are refused for seconds, and the replica may lack the last of them. No line comes
    twice, the ones that the task says later all come, and so does the verdict.
    """
    handle: Any = app.tasks["tests.lifecycle.talking_app.talk"].options(queue=queue).delay(80, 8.0)
    killed = threading.Event()

    def kill(event: Any) -> None:
        """Once the replica has had the time to hear of the task."""
        if isinstance(event, Progress) and event.done > 10 and not killed.is_set():
            victim = cluster.master_of(queue)
            assert victim.pid is not None
            os.kill(victim.pid, signal.SIGKILL)
            killed.set()

    events = []
    if way == "thread":
        for event in handle.watch(60):
            events.append(event)
            kill(event)
    else:
        events = asyncio.run(_watched(handle, kill))
    numbers = [line.number for event in events if isinstance(event, LogLines) for line in event.lines]
    done = [event.done for event in events if isinstance(event, Progress)]

    assert killed.is_set()
    assert len(numbers) == len(set(numbers))
    assert numbers == sorted(numbers)
    assert numbers[-1] == 80
    assert len(numbers) >= 70  # one report may have died with the node, before its replica had it
    assert done[-1] == 80
    assert events[-1] == Verdict(State.COMPLETED)

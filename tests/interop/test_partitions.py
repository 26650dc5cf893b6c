"""Partitions are ordinary queues to Go: it enqueues into the queue or into one of them, serves them, and looks at them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskflow import TaskFlow
from taskflow.partitions import partition_names
from tests.interop.golang import Peer
from tests.servers import Server
from tests.workers import WorkerProcess

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

MODULE = """
from taskflow import TaskFlow
app = TaskFlow("spread", queues={{{queue!r}: {{"partitions": 6}}}})

@app.task(name="for:go", retention=600)
def echo(**fields):
    return fields
"""


@pytest.fixture
def spread(valkey: Server, queue: str) -> Iterator[Any]:
    """A task over six partitions, as a program of Python's enqueues it."""
    app = TaskFlow(broker=valkey.url, queues={queue: {"partitions": 6}}, retention=600)

    @app.task(name="for:go", queue=queue)
    def task(**fields: Any) -> None: ...

    yield task
    app.close()


def test_what_go_enqueues_is_served(valkey: Server, peer: Peer, queue: str, project: Path) -> None:
    """To the queue by its name, or to a partition by its own."""
    (project / "spread.py").write_text(MODULE.format(queue=queue))
    names = [queue, *partition_names(queue, 6)]
    tasks = [
        {"type": "for:go", "queue": name, "payload": '{"n":1}', "retention_ms": 60_000} for name in names
    ]
    ids = [answer["id"] for answer in peer.enqueue(tasks)]
    app = TaskFlow(broker=valkey.url, queues={queue: {"partitions": 6}})
    with WorkerProcess("spread", directory=project, broker=valkey.url, queues={queue: 1}):
        for task_id in ids:
            assert app.result(task_id, queue=queue).get(20) == {"n": 1}
    app.close()


def test_go_serves_what_python_spreads(peer: Peer, queue: str, spread: Any) -> None:
    handles = [spread.delay(go="ok", n=n) for n in range(12)]
    with peer.work(dict.fromkeys(partition_names(queue, 6), 1), task_check_ms=50) as worker:
        ends = [worker.wait_for_end(handle.id) for handle in handles]
    assert [end["queue"] for end in ends] == [handle.queue for handle in handles]
    assert {end["queue"] for end in ends} == set(partition_names(queue, 6))


def test_gos_inspector_sees_the_partitions_as_queues(peer: Peer, queue: str, spread: Any) -> None:
    spread.map([{"go": "ok", "n": n} for n in range(1200)]).raise_for_errors()
    sizes = [peer.inspect("info", queue=name)["size"] for name in partition_names(queue, 6)]
    assert sum(sizes) == 1200
    assert min(sizes) > 0

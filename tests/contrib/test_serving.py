"""Requests that enqueue, at gunicorn with --preload and at uvicorn with two processes: none refused, and nothing left open."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.server import running
from benchmarks.serving.__main__ import PROCESSES, THREADS, measure

REQUESTS = 100
CLIENTS = 6


@pytest.mark.parametrize(
    ("framework", "most"),
    [
        # The first process's, and for each thread one of its own and one of the event loop of its last coroutine.
        ("flask", 1 + PROCESSES * THREADS * 2),
        # For each of the requests that come at once one of the event loop and one of the thread that it runs in.
        ("fastapi", PROCESSES * CLIENTS * 2),
    ],
)
def test_requests_that_enqueue_leave_nothing_open(tmp_path: Path, framework: str, most: int) -> None:
    """`python -m benchmarks.serving` does it with a thousand. A quarter of Flask's views are coroutines: each has an event loop
    of its own, whose connection nobody closes but the next. gunicorn's first process has enqueued before it forks: its
    connection, which the others have inherited, is used by none of them.
    """
    with running(tmp_path) as server:
        seen = measure(server, framework, tmp_path, requests=REQUESTS, clients=CLIENTS)

    assert (seen.refused, seen.enqueued, seen.inherited) == (0, REQUESTS, 0)
    assert seen.connections[0] == (1 if framework == "flask" else 0)
    assert max(seen.connections) <= most
    assert max(seen.files) - seen.files[0] <= most + 10

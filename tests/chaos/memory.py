"""A server is filled until it refuses an enqueue, and then drained to zero while it is still full."""

from __future__ import annotations

import time
from pathlib import Path

from .fleet import WorkerOptions
from .ledger import read
from .report import Report
from .run import Plan, run
from .target import ask

ROOM = 8 * 1024 * 1024
"""Bytes that may be filled."""


def fill_and_drain(directory: Path) -> Report:
    """One run."""
    plan = Plan(
        "memory",
        mix="fill",
        threads=1,
        rate=1e6,
        enqueue_timeout=2.0,
        workers=WorkerOptions(count=2, concurrency=10, processes=1),
        drain=180,
    )
    with run(plan, directory) as running:
        port = running.target.port_of(running.queues[0])
        used = int(ask(port, "INFO", "memory").split(b"used_memory:")[1].split(b"\r\n")[0])
        ask(port, "CONFIG", "SET", "maxmemory", used + ROOM, "maxmemory-policy", "noeviction")
        running.begin_producing()
        deadline = time.monotonic() + 120
        while not any(entry.kind == "unknown" for entry in read(directory)):
            assert time.monotonic() < deadline, "the server was never full"
            time.sleep(0.2)
        depth = sum(running.target.depth(queue)["pending"] for queue in running.queues)
        running.fleet.start()
        report = running.end()
        report.measured = {"tasks when full": float(depth)}
        if not report.unknown:
            report.problems.append("no enqueue was refused: the run shows nothing")
        report.save(directory / "report.json")
        return report

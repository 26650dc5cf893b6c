"""All scenarios, in the order of the report."""

from __future__ import annotations

from .base import Scenario
from .throughput import Drain, Enqueue
from .waiting import Footprint, Idle, Latency, Memory, RoundTrip

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Enqueue("single", "Enqueue, one caller"),
        Enqueue("threads", "Enqueue, 100 callers (threads)"),
        Enqueue("asyncio", "Enqueue, 100 callers (asyncio)"),
        Enqueue("bulk", "Enqueue in bulk"),
        Drain("drain", "Drain, one process"),
        Drain("drain-2", "Drain, two processes", processes=2),
        Drain("drain-async", "Drain, coroutines", "anoop"),
        Drain("drain-sleep", "Drain, tasks that sleep 1 ms", "sleep"),
        Drain("drain-cpu", "Drain, tasks of 1 ms CPU, one process", "cpu"),
        Drain("drain-cpu-2", "Drain, tasks of 1 ms CPU, two processes", "cpu", processes=2),
        Latency("latency", "Idle pick-up"),
        Latency("latency-go", "Idle pick-up, enqueued by Go"),
        RoundTrip(),
        Idle(),
        Memory(),
        Footprint(),
    )
}

EVERYDAY = ("single", "bulk", "drain", "latency", "latency-go", "idle", "result", "memory")
"""What runs unless told otherwise; `--scenarios all` runs everything."""

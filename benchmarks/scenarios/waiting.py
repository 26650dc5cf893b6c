"""What an idle worker does: how soon it starts a task, what it asks of the server, what it costs."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import time
from collections.abc import Callable, Iterator

from ..contender import Contender, Place, Unsupported
from ..processes import Process, RunFailed, group_memory
from ..stats import Metric, percentile
from .base import Scenario, Size

INTERVAL = 0.13
FIRST_PINGS = 3
READY_SECONDS = 40.0
SETTLE_SECONDS = 2.0


class Latency(Scenario):
    """From the call that enqueues a task to its first line, on a worker that has nothing else to do."""

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self.metrics = (
            Metric(f"{name}.median", f"{title}: median", "ms", higher=False, chart=name == "latency"),
            Metric(f"{name}.p99", f"{title}: p99", "ms", higher=False),
        )

    def measure(self, contender: Contender, place: Place, size: Size) -> dict[str, float]:
        """See `Scenario.measure`."""
        contender.check(self.name)
        if self.name == "latency" and hasattr(contender, "latency"):
            own = contender.latency(place, size.pings, INTERVAL)
            return {f"{self.name}.{what}": value for what, value in own.items()}
        pings = self._pings(contender)
        with idle(contender, place):
            seen = len(marks(place))
            pings(place, size.pings + FIRST_PINGS, INTERVAL)
            wait_for(lambda: len(marks(place)) >= seen + size.pings + FIRST_PINGS, "every task is run", 20)
            latencies = [(start - sent) / 1e6 for sent, start in marks(place)[seen + FIRST_PINGS :]]
        return {
            f"{self.name}.median": percentile(latencies, 50),
            f"{self.name}.p99": percentile(latencies, 99),
        }

    def _pings(self, contender: Contender) -> Callable[[Place, int, float], None]:
        if self.name == "latency":
            return contender.pings
        if not hasattr(contender, "pings_from_go"):
            raise Unsupported("a storage of its own, in which Go's Asynq cannot enqueue")
        pings: Callable[[Place, int, float], None] = contender.pings_from_go
        return pings


class RoundTrip(Scenario):
    """A caller enqueues a no-op and waits for its result."""

    name = "result"
    metrics = (
        Metric("result.median", "Result round trip: median", "ms", higher=False),
        Metric("result.p99", "Result round trip: p99", "ms", higher=False),
    )

    def measure(self, contender: Contender, place: Place, size: Size) -> dict[str, float]:
        """See `Scenario.measure`."""
        contender.check(self.name)
        place = dataclasses.replace(place, results=True)
        with idle(contender, place):
            seconds = contender.round_trips(place, size.pings + FIRST_PINGS)[FIRST_PINGS:]
        return {
            "result.median": percentile(seconds, 50) * 1000,
            "result.p99": percentile(seconds, 99) * 1000,
        }


class Idle(Scenario):
    """What an idle worker on one queue asks of the server, seen by MONITOR."""

    name = "idle"
    once = True
    metrics = (
        Metric("idle.commands", "Idle worker: commands by clients", "per s", higher=False),
        Metric("idle.scripted", "Idle worker: commands inside scripts", "per s", higher=False),
    )

    def measure(self, contender: Contender, place: Place, size: Size) -> dict[str, float]:
        """See `Scenario.measure`."""
        contender.check(self.name)
        with idle(contender, place):
            time.sleep(SETTLE_SECONDS)
            commands, scripted = monitor(place, size.idle_seconds)
        return {"idle.commands": commands / size.idle_seconds, "idle.scripted": scripted / size.idle_seconds}


class Footprint(Scenario):
    """From the start of the command to the first line of a task that waits; and the memory of the idle worker."""

    name = "footprint"
    once = True
    metrics = (
        Metric("footprint.start", "Start of the worker's command to the start of a task", "s", higher=False),
        Metric("footprint.memory", "Idle worker: memory of all its processes (PSS)", "MB", higher=False),
    )

    def measure(self, contender: Contender, place: Place, size: Size) -> dict[str, float]:
        """See `Scenario.measure`."""
        contender.check(self.name)
        contender.pings(place, 1, 0)
        (worker,) = contender.worker(place)
        with worker:
            wait_for(lambda: marks(place), "the first task is run", READY_SECONDS, worker)
            started = (marks(place)[0][1] - worker.started_ns) / 1e9
            time.sleep(SETTLE_SECONDS)
            memory = group_memory(worker.pid)
        return {"footprint.start": started, "footprint.memory": memory / 1e6}


class Memory(Scenario):
    """The bytes that the server needs for one more waiting no-op."""

    name = "memory"
    once = True
    metrics = (Metric("memory.bytes", "Server memory per queued task", "bytes", higher=False),)

    def measure(self, contender: Contender, place: Place, size: Size) -> dict[str, float]:
        """See `Scenario.measure`."""
        tasks = min(size.tasks, 10_000)
        before = place.server.used_memory()
        contender.enqueue(place, "preload", tasks)
        return {"memory.bytes": (place.server.used_memory() - before) / tasks}


@contextlib.contextmanager
def idle(contender: Contender, place: Place) -> Iterator[Process]:
    """A worker that has run its first task and has nothing to do."""
    place.marks.unlink(missing_ok=True)
    (worker,) = contender.worker(place)
    with worker:
        try:
            contender.pings(place, 1, 0)
        except Unsupported:
            # The Go peer: it is up within milliseconds.
            time.sleep(1.0)
        else:
            wait_for(lambda: marks(place), "the worker runs its first task", READY_SECONDS, worker)
        time.sleep(0.5)
        yield worker


def marks(place: Place) -> list[tuple[int, int]]:
    """When each marked task was enqueued, and when it started."""
    if not place.marks.exists():
        return []
    lines = place.marks.read_text().splitlines()
    return [(int(sent), int(start)) for sent, start in (line.split() for line in lines)]


def wait_for(
    predicate: Callable[[], object], description: str, timeout: float, worker: Process | None = None
) -> None:
    """Wait until the predicate holds."""
    deadline = time.monotonic() + timeout
    while not predicate():
        if worker is not None:
            worker.check()
        if time.monotonic() > deadline:
            raise RunFailed(f"not within {timeout:g} s: {description}")
        time.sleep(0.02)


def monitor(place: Place, seconds: float) -> tuple[int, int]:
    """Count the commands that the server executes: those that clients sent, and those inside scripts."""
    deadline = time.monotonic() + seconds
    data = b""
    with socket.create_connection(("127.0.0.1", place.server.port)) as connection:
        connection.sendall(b"MONITOR\r\n")
        while (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            with contextlib.suppress(TimeoutError):
                data += connection.recv(1 << 16)
    lines = [line for line in data.split(b"\r\n") if line.startswith(b"+") and b" [" in line]
    scripted = sum(line.split(b"]", 1)[0].endswith(b" lua") for line in lines)
    return len(lines) - scripted, scripted

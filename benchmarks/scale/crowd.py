"""Many idle workers on one queue: what they ask of the server, and what a task costs it, beside Asynq's polling."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from taskflow.broker.commands.enqueue import NewTask, enqueue
from taskflow.broker.sync import Broker
from taskflow.connection.sync import SyncDriver
from taskflow.message.task_message import TaskMessage
from tests.interop.golang import GoUnavailable, PeerError, build_peer

from .. import server as servers
from ..contender import QUEUE, Place
from ..contenders.taskflow import Taskflow
from ..processes import PROGRAMS, Process
from ..report.tables import Table
from ..scenarios.waiting import marks, wait_for
from ..server import Server
from ..stats import percentile
from .cost import Cost

START_SECONDS = 60.0
SETTLE_SECONDS = 5.0
WARM_UP = 15
"""Tasks by which the workers notice that they are many."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    Args:
        workers: of the crowd.
        processes: whole worker processes in the measurement of latency.
        seconds: of watching an idle crowd.
        tasks: of each measurement.
    """

    workers: int = 200
    processes: int = 20
    seconds: float = 10.0
    tasks: int = 30


def measure(size: Size, directory: Path, say: Callable[[str], None]) -> list[Table]:
    """Measure both crowds on servers of their own, and the latency of some whole processes."""
    rows = []
    try:
        polling = _polling(size, directory)
        rows.append(_row(f"{size.workers} of Go Asynq's: a second of polling", polling))
    except (GoUnavailable, PeerError) as error:
        say(f"asynq: skipped: {error}")
    idle, per_task = _ours(size, directory, say)
    rows.append(_row(f"{size.workers} of taskflow's: a second of idleness", idle))
    rows += [_row(f"taskflow's: a task every {interval:g} s", cost) for interval, cost in per_task.items()]
    return [
        Table(
            f"What {size.workers} idle workers on one queue cost the server",
            ("", "commands", "requests", "bytes for a replica", "processor time, ms"),
            rows,
            (
                "Commands count also those inside scripts; requests are reads from clients' sockets. A task's cost is what its "
                "second cost more than a second of idleness, with its enqueueing and its verdict.",
                "All are whole workers with one slot and all their loops, many in one process; the server has a replica.",
            ),
        ),
        _latency(size, directory),
    ]


def _row(title: str, cost: Cost) -> tuple[str, ...]:
    return (
        title,
        *(f"{max(value, 0):,.0f}" for value in (cost.commands, cost.reads, cost.replicated)),
        f"{max(cost.cpu, 0) * 1000:.2f}",
    )


def _polling(size: Size, directory: Path) -> Cost:
    command = [
        str(build_peer()),
        "work",
        "--concurrency=1",
        f"--queues={QUEUE}=1",
        f"--servers={size.workers}",
    ]
    with _server_with_replica(directory) as server:
        place = Place(server, directory, 1)
        with Process([*command, f"--redis={server.address}"], {}, place.log) as process:
            wait_for_workers(server, size.workers, process)
            return _idle(server, size.seconds)


def _ours(size: Size, directory: Path, say: Callable[[str], None]) -> tuple[Cost, dict[float, Cost]]:
    with _server_with_replica(directory) as server, broker_of(server) as broker:
        place = Place(server, directory, 1)
        environment = place.environment()
        environment["PYTHONPATH"] += os.pathsep + str(PROGRAMS.parents[1])
        command = [sys.executable, str(PROGRAMS / "crowd_app.py"), str(size.workers)]
        with Process(command, environment, place.log) as process:
            wait_for_workers(server, size.workers, process)
            _ping(broker, WARM_UP, 0.2)
            idle = _idle(server, size.seconds)
            found = {}
            for interval in (1.0, 0.1):
                before = Cost.of(server)
                _ping(broker, size.tasks, interval)
                gone = Cost.of(server).since(before)
                found[interval] = gone.without(idle, gone.seconds).each(size.tasks)
                say(f"crowd: a task every {interval:g} s: {found[interval]}")
            wait_for(lambda: len(marks(place)) == WARM_UP + 2 * size.tasks, "every task is run", 30, process)
            return idle, found


def _latency(size: Size, directory: Path) -> Table:
    contender = Taskflow()
    contender.prepare()
    with (
        servers.running(directory) as server,
        broker_of(server) as broker,
        contextlib.ExitStack() as stack,
    ):
        place = Place(server, directory, 1)
        place.marks.unlink(missing_ok=True)
        for _ in range(size.processes):
            (worker,) = contender.worker(place)
            stack.enter_context(worker)
            time.sleep(0.2)
        wait_for_workers(server, size.processes, worker)
        _ping(broker, WARM_UP, 0.1)
        count = 10 * size.tasks
        _ping(broker, count, 0.1)
        wait_for(lambda: len(marks(place)) >= WARM_UP + count, "every task is run", 30)
        found = [(start - sent) / 1e6 for sent, start in marks(place)[WARM_UP:]]
    return Table(
        f"{size.processes} idle worker processes with one slot each, a task every 100 ms: time to its first line",
        ("median, ms", "p99, ms", "most, ms", "tasks"),
        [(*(f"{v:.1f}" for v in (percentile(found, 50), percentile(found, 99), max(found))), str(count))],
        ("To be reached: a median under 10 ms and a p99 under 100 ms.",),
    )


@contextlib.contextmanager
def _server_with_replica(directory: Path) -> Iterator[Server]:
    with (
        servers.running(directory) as server,
        servers.running(directory, "--replicaof", "127.0.0.1", str(server.port)),
    ):
        wait_for(lambda: server.client.execute_command("WAIT", 1, 100), "the replica is there", 20)
        yield server


@contextlib.contextmanager
def broker_of(server: Server) -> Iterator[Broker]:
    """The harness's own way to enqueue: the same for all contenders in the same storage."""
    broker = Broker(SyncDriver(server.url))
    try:
        yield broker
    finally:
        broker.close()


def wait_for_workers(server: Server, count: int, process: Process) -> None:
    """Until so many run, and have settled."""
    wait_for(lambda: server.client.zcard("asynq:servers") >= count, "all workers run", START_SECONDS, process)
    time.sleep(SETTLE_SECONDS)


def mark() -> NewTask:
    """A task that notes when it has started, and that it was enqueued now."""
    return task("benchmark:mark", b'{"sent":%d}' % time.time_ns())


def task(name: str, payload: bytes) -> NewTask:
    """A task of the benchmarks' queue."""
    return NewTask(TaskMessage(type=name, payload=payload, id=str(uuid.uuid4()), queue=QUEUE, timeout=1800))


def _idle(server: Server, seconds: float) -> Cost:
    before = Cost.of(server)
    time.sleep(seconds)
    gone = Cost.of(server).since(before)
    return gone.each(gone.seconds)


def _ping(broker: Broker, count: int, interval: float) -> None:
    for _ in range(count):
        time.sleep(interval)
        broker.run(enqueue(QUEUE, [mark()]), 5)

"""Big numbers: a million scheduled tasks, very many due at one moment, and a very long queue."""

from __future__ import annotations

import dataclasses
import statistics
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from taskflow.broker.commands.enqueue import BATCH, Terms, enqueue
from taskflow.broker.keys import queue_keys
from taskflow.message.task_message import TaskMessage

from .. import machine
from .. import server as servers
from ..contender import QUEUE, Place
from ..contenders.taskflow import Taskflow
from ..processes import RunFailed, group_memory, put_first
from ..report.tables import Table
from ..scenarios.throughput import watch
from ..scenarios.waiting import wait_for
from ..server import Server
from .crowd import broker_of

SLOW_MICROSECONDS = 1000
"""What the server notes in its SLOWLOG here; 10 ms is its own default."""

IDLE_SECONDS = 20.0
PATIENCE = 600.0
PRELOAD = 250_000
START_SECONDS, SCHEDULED_PER_SECOND = 6.0, 8000
"""How long after the first of them the tasks that are due at once are due: they, and the worker, must be there before."""

SHORT_DRAINS = 3
"""Of the shorter queue, before and after that of the long one."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    Args:
        scheduled: tasks that wait for their time.
        due: tasks that are due in one second.
        long: the length of the long queue.
        short: the length that it is compared with.
        idle_seconds: how long a worker is watched beside the scheduled tasks.
    """

    scheduled: int = 1_000_000
    due: int = 100_000
    long: int = 1_000_000
    short: int = 10_000
    idle_seconds: float = IDLE_SECONDS


def measure(part: str, size: Size, directory: Path, say: Callable[[str], None]) -> list[Table]:
    """One of `PARTS`, on a server of its own."""
    with servers.running(
        directory, "--slowlog-log-slower-than", str(SLOW_MICROSECONDS), "--slowlog-max-len", "100000"
    ) as server:
        contender = Taskflow()
        contender.prepare()
        # A SLOWLOG measures by the clock, which goes on when the host takes the core away.
        watched = size.idle_seconds / 2
        stolen = machine.longest_gap(watched)
        alone = put_first(server.process.pid)
        found = PARTS[part](contender, Place(server, directory), size)
        say(f"{found.title}: {list(found.rows)}")
        notes = (
            "The server has real-time priority, and no idle loops keep the cores awake."
            if alone
            else "The server shares the processor with everybody, so a script may have been slow because others were busy.",
            f"A loop that only reads the clock, on the idle machine before the run, was held up for {stolen * 1000:.1f} ms at "
            f"the longest in {watched:g} s: what takes the core from it takes it from scripts, too.",
        )
        return [dataclasses.replace(found, notes=(*found.notes, *notes))]


def _scheduled(contender: Taskflow, place: Place, size: Size) -> Table:
    """What a worker that waits for nothing else takes of memory, without and with all those tasks."""
    (worker,) = contender.worker(place)
    with worker:
        wait_for(lambda: place.server.client.zcard("asynq:servers"), "the worker runs", 30, worker)
        time.sleep(size.idle_seconds / 2)
        before, stored = group_memory(worker.pid), place.server.used_memory()
        _schedule(place.server, size.scheduled, 7200)
        stored = place.server.used_memory() - stored
        during = group_memory(worker.pid)
        time.sleep(size.idle_seconds)
        after = group_memory(worker.pid)
    return Table(
        f"{size.scheduled:,} scheduled tasks: memory of the worker beside them (PSS of all its processes)",
        (
            "before, MB",
            "when all are there, MB",
            f"{size.idle_seconds:g} s later, MB",
            "server, bytes per task",
        ),
        [(*(f"{value / 1e6:.1f}" for value in (before, during, after)), f"{stored / size.scheduled:.0f}")],
        (_slow(place.server),),
    )


def _due(contender: Taskflow, place: Place, size: Size) -> Table:
    """All due in one second, beside as many that simply wait."""
    contender.enqueue(place, "preload", size.due)
    (worker,) = contender.worker(place)
    with worker:
        plain = watch(contender, place, [worker], PATIENCE).seconds
    place.server.client.slowlog_reset()
    moment = _schedule(place.server, size.due, START_SECONDS + size.due / SCHEDULED_PER_SECOND)
    client, keys = place.server.client, queue_keys(QUEUE)

    def is_done() -> bool:
        with client.pipeline(transaction=True) as pipeline:
            pipeline.zcard(keys.scheduled).llen(keys.pending).llen(keys.active)
            return not any(pipeline.execute())

    (worker,) = contender.worker(place)
    with worker:
        wait_for(lambda: client.zcard("asynq:servers"), "the worker runs", 30, worker)
        if _now(place.server) > moment:
            raise RunFailed("the tasks were due before all of them, and the worker, were there")
        wait_for(is_done, "all are done", PATIENCE, worker)
        seconds = _now(place.server) - moment
    return Table(
        f"{size.due:,} tasks due in the same second",
        ("from then until all are done, s", "as many that wait in the queue, s", "ratio"),
        [(f"{seconds:.2f}", f"{plain:.2f}", f"{seconds / plain:.2f}")],
        (_slow(place.server),),
    )


def _long(contender: Taskflow, place: Place, size: Size) -> Table:
    """The pace at which each length is drained, the short one before and after the long one."""

    def rate(tasks: int) -> float:
        place.server.flush()
        for start in range(0, tasks, PRELOAD):
            contender.enqueue(place, "preload", min(PRELOAD, tasks - start))
        (worker,) = contender.worker(place)
        with worker:
            drained = watch(contender, place, [worker], PATIENCE)
        return drained.tasks / drained.seconds

    shorts = [rate(size.short) for _ in range(SHORT_DRAINS)]
    place.server.client.slowlog_reset()
    long = rate(size.long)
    slow = _slow(place.server)
    shorts += [rate(size.short) for _ in range(SHORT_DRAINS)]
    short = statistics.median(shorts)
    return Table(
        f"A queue of {size.long:,} drained beside one of {size.short:,}",
        (f"{size.long:,}: tasks/s", f"{size.short:,}: tasks/s", "least to most", "ratio"),
        [
            (
                f"{long:,.0f}",
                f"{short:,.0f}",
                f"{min(shorts):,.0f} to {max(shorts):,.0f}",
                f"{long / short:.2f}",
            )
        ],
        (f"{2 * SHORT_DRAINS} drains of the short one, half of them before and half after. {slow}",),
    )


PARTS = {"scheduled": _scheduled, "due": _due, "long": _long}


def _schedule(server: Server, count: int, seconds: float) -> float:
    """Enqueue no-ops that are all due at one moment, which is returned."""
    moment = int(_now(server) + seconds) + 1
    terms = Terms(
        TaskMessage(type="benchmark:noop", payload=b"", id="-", queue=QUEUE, timeout=1800), process_at=moment
    )
    with broker_of(server) as broker:
        for start in range(0, count, BATCH):
            tasks = [terms.call(str(uuid.uuid4()), b"") for _ in range(min(BATCH, count - start))]
            broker.run(enqueue(QUEUE, tasks), 10)
    return moment


def _now(server: Server) -> float:
    seconds, micros = server.client.time()
    return float(seconds) + float(micros) / 1e6


def _slow(server: Server) -> str:
    """What the SLOWLOG says about scripts since it was emptied."""
    entries = server.client.slowlog_get(100_000)
    scripts = sorted(e["duration"] / 1000 for e in entries if e["command"][:4].upper() == b"EVAL")
    over = [sum(ms > limit for ms in scripts) for limit in (5, 10)]
    longest = (
        f"the longest took {scripts[-1]:.1f} ms" if scripts else f"none took {SLOW_MICROSECONDS / 1000:g} ms"
    )
    return f"Scripts: {over[0]} took over 5 ms, {over[1]} over 10 ms; {longest} (SLOWLOG)."

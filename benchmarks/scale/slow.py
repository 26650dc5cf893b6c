"""A slow task among quick ones, on two workers: how long those wait that were taken with it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from taskflow.broker.commands.enqueue import enqueue
from taskflow.broker.keys import queue_keys

from .. import server as servers
from ..contender import QUEUE, Place
from ..contenders.taskflow import Taskflow
from ..report.tables import Table
from ..scenarios.waiting import marks, wait_for
from .crowd import broker_of, mark, task, wait_for_workers

WORKERS = 2
PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    Args:
        rounds: how often.
        tasks: quick tasks of a round, at most as many as one call enqueues.
        slow_seconds: what the slow one takes.
    """

    rounds: int = 20
    tasks: int = 60
    slow_seconds: float = 1.0


def measure(size: Size, directory: Path, say: Callable[[str], None]) -> list[Table]:
    """Both workers learn that tasks are quick, so that they take them ahead; then a slow one is among them."""
    contender = Taskflow()
    contender.prepare()
    longest, behind = [], 0
    with servers.running(directory) as server, broker_of(server) as broker, contextlib.ExitStack() as stack:
        place = Place(server, directory, 1)
        place.marks.unlink(missing_ok=True)
        for _ in range(WORKERS):
            (worker,) = contender.worker(place)
            stack.enter_context(worker)
        wait_for_workers(server, WORKERS, worker)

        def round_(slow_at: int | None) -> list[float]:
            seen, tasks = len(marks(place)), [mark() for _ in range(size.tasks)]
            if slow_at is not None:
                tasks.insert(slow_at, task("benchmark:block", b'{"seconds":%g}' % size.slow_seconds))
            broker.run(enqueue(QUEUE, tasks), 5)
            wait_for(lambda: len(marks(place)) >= seen + size.tasks, "every task is run", PATIENCE, worker)
            return [(start - sent) / 1e6 for sent, start in marks(place)[seen:]]

        active = queue_keys(QUEUE).active
        for number in range(size.rounds):
            wait_for(lambda: not server.client.llen(active), "the slow task is done", PATIENCE, worker)
            for _ in range(3):
                round_(None)
            waits = round_(number * size.tasks // size.rounds)
            say(f"slow: round {number + 1}: {max(waits):.0f} ms")
            longest.append(max(waits))
            behind += sum(wait > 100 for wait in waits)
    return [
        Table(
            f"{size.tasks} quick tasks and one of {size.slow_seconds:g} s, on {WORKERS} workers of one slot: a quick one's wait",
            ("longest of all, ms", "least of the rounds' longest, ms", "tasks over 100 ms", "rounds"),
            [(f"{max(longest):.0f}", f"{min(longest):.0f}", str(behind), str(size.rounds))],
            ("To be reached: no task waits for over 250 ms on the slow worker while the other one is idle.",),
        )
    ]

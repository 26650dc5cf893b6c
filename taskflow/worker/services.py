"""The loops that a worker begins with: what takes the tasks of a queue, and what it runs once.

A line of the list makes a loop from what there is to work with; None: this worker needs none. What no task waits for is in
`upkeep`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..pipe import frames
from .loops.limits import Limits
from .parts import Parts
from .service import Service
from .taking.fetcher import Fetcher
from .taking.idle_backoff import IdleBackoff
from .taking.partitions import Partitions


@dataclass(frozen=True, slots=True)
class ForQueue:
    """What a loop of one queue has to work with.

    Args:
        name: of the queue in storage: a queue, or a partition of one.
        queue: the queue as users know it.
        backoff: learns how many workers are on it, and waits accordingly.
        rule: what becomes of its aggregation groups, if the app says so.
        parts: of the worker.
        stores: whether the app has a store for large arguments and results.
    """

    name: str
    queue: str
    backoff: IdleBackoff
    rule: frames.Aggregation | None
    parts: Parts
    stores: bool = False


@dataclass(frozen=True, slots=True)
class ForWorker:
    """What a loop of the whole worker has to work with.

    Args:
        parts: of the worker.
        queues: what is served, with weights.
        partitions: finds what is to be served.
        status: what the worker's record says of it.
        served: the names of what is served; None before the first look, and before all their loops have had theirs.
        end: ends the worker.
        unsure: whether tasks may be on their way here of which nothing is known yet.
    """

    parts: Parts
    queues: Mapping[str, int]
    partitions: Partitions
    status: Callable[[], str]
    served: Callable[[], list[str] | None]
    end: Callable[[], None]
    unsure: Callable[[], bool]


def fetcher(at: ForQueue) -> Fetcher:
    """What takes the tasks of a queue."""
    parts = at.parts
    return Fetcher(
        at.name,
        parts.identity.owner,
        parts.many,
        parts.allocator,
        parts.intake.take,
        parts.held_tasks.takings,
        parts.clock,
        at.backoff,
        parts.places,
        parts.roll_call,
    )


def _burst(at: ForWorker) -> Service | None:
    parts = at.parts
    if not parts.config.burst:
        return None
    from .loops.burst import Burst  # here, for the start-up: it brings a forwarder

    return Burst(
        parts.broker,
        parts.clock,
        at.served,
        lambda: len(parts.held_tasks) + len(parts.courier) + at.unsure(),
        lambda: bool(parts.delivery.away()),
        at.end,
    )


PER_WORKER: tuple[Callable[[ForWorker], Service | None], ...] = (
    lambda at: at.parts.acker,
    lambda at: at.parts.reports,
    lambda at: at.parts.courier,
    lambda at: at.parts.roll_call,
    lambda at: Limits(at.parts.supervisor.watch_limits),
    lambda at: at.parts.leases,
    lambda at: at.parts.subscriber,
    lambda at: at.partitions,
    _burst,
)
"""Once, in the order of their start."""

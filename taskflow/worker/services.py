"""The loops of a worker, in two lists: what it runs for each queue, and what it runs once. A new loop is one line here.

A line makes the loop from what there is to work with; None: this worker needs none. `guarded` makes one of which one worker
of many runs it, and the others look now and then whether they should.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..pipe import frames
from .holding.leases import Leases
from .loops.aggregator import Aggregator
from .loops.closed_aggregator import ClosedAggregator
from .loops.forwarder import Forwarder
from .loops.guard import Guard
from .loops.heartbeat import Heartbeat
from .loops.outbox import OutboxJanitor
from .loops.recoverer import Janitor, Recoverer
from .loops.sweeper import Sweeper
from .loops.watches import Burst, Limits
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
    """

    name: str
    queue: str
    backoff: IdleBackoff
    rule: frames.Aggregation | None
    parts: Parts


@dataclass(frozen=True, slots=True)
class ForWorker:
    """What a loop of the whole worker has to work with.

    Args:
        parts: of the worker.
        heartbeat: writes its record.
        partitions: finds what is to be served.
        served: the names of what is served; None before the first look.
        end: ends the worker.
    """

    parts: Parts
    heartbeat: Heartbeat
    partitions: Partitions
    served: Callable[[], list[str] | None]
    end: Callable[[], None]


def guarded(make: Callable[[ForQueue], Service], name: str, seconds: float) -> Callable[[ForQueue], Service]:
    """A loop of a queue that one worker of many runs.

    Args:
        make: makes the loop.
        name: of its guard.
        seconds: how long the guard keeps the others quiet after each round: longer than the pause between two of them.
    """

    def make_guarded(at: ForQueue) -> Service:
        service = make(at)
        service.guard = Guard(at.parts.many, at.name, name, at.parts.identity.owner, seconds)
        return service

    return make_guarded


def _forwarder(at: ForQueue) -> Forwarder:
    forwarder = Forwarder(at.name, at.parts.many, at.parts.clock, at.backoff)
    at.parts.subscriber.add(at.name, forwarder.tell)
    return forwarder


def _fetcher(at: ForQueue) -> Fetcher:
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


def _aggregator(at: ForQueue) -> Aggregator | None:
    if at.rule is None:
        return None
    parts = at.parts
    if not at.rule.closed:
        return Aggregator(at.name, at.rule, parts.many)
    return ClosedAggregator(
        at.name, at.rule, parts.many, parts.supervisor.builds.build, parts.clock, parts.config.max_message
    )


def _burst(at: ForWorker) -> Burst | None:
    parts = at.parts
    if not parts.config.burst:
        return None
    return Burst(
        parts.broker, parts.clock, at.served, lambda: len(parts.held_tasks) + len(parts.courier), at.end
    )


PER_QUEUE: tuple[Callable[[ForQueue], Service | None], ...] = (
    _forwarder,
    lambda at: Recoverer(at.name, at.parts.many, at.backoff),
    lambda at: Janitor(at.name, at.parts.many, at.backoff),
    lambda at: OutboxJanitor(at.name, at.parts.many, at.parts.delivery, at.backoff),
    lambda at: Sweeper(at.name, at.parts.many, at.backoff, joins=at.rule is not None),
    _aggregator,
    _fetcher,
)
"""For each queue and partition that is served, in the order of their start."""

PER_WORKER: tuple[Callable[[ForWorker], Service | None], ...] = (
    lambda at: at.parts.acker,
    lambda at: at.parts.courier,
    lambda at: at.parts.roll_call,
    lambda at: Limits(at.parts.supervisor.watch_limits),
    lambda at: Leases(at.parts.broker, at.parts.held_tasks),
    lambda at: at.heartbeat,
    lambda at: at.parts.subscriber,
    lambda at: at.partitions,
    _burst,
)
"""Once, in the order of their start."""

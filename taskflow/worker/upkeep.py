"""The loops that no task waits for, in two lists: of each queue and partition that is served, and of the worker.

This module and what it imports are loaded when the first tasks have been asked for. Each list is made and read as that of
`services`; a new loop is one line. `guarded` makes one of which one worker of many runs it, and the others look now and then
whether they should.
"""

from __future__ import annotations

from collections.abc import Callable

from ..pipe import frames
from .loops.aggregator import Aggregator
from .loops.closed_aggregator import ClosedAggregator
from .loops.forwarder import Forwarder
from .loops.guard import Guard
from .loops.heartbeat import Heartbeat
from .loops.outbox import OutboxJanitor
from .loops.recoverer import Janitor, Recoverer
from .loops.sweeper import Sweeper
from .service import Service
from .services import ForQueue, ForWorker


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


def _aggregator(at: ForQueue) -> Aggregator | None:
    if at.rule is None:
        return None
    parts = at.parts
    if not at.rule.closed:
        return Aggregator(at.name, at.rule, parts.many)
    return ClosedAggregator(
        at.name, at.rule, parts.many, parts.supervisor.builds.build, parts.clock, parts.config.max_message
    )


def _store_janitor(at: ForQueue) -> Service:
    # Only here: few apps have a store.
    from .loops.store_janitor import StoreJanitor

    children = at.parts.supervisor.children

    def ask(work: frames.Tidy) -> None:
        child = next((one for one in children if one.takes_work), None)
        if child is not None:
            child.send(work)

    return StoreJanitor(at.name, at.parts.many, ask)


def _guarded_store_janitor(at: ForQueue) -> Service | None:
    seconds = 2 * at.parts.config.timings.store
    return guarded(_store_janitor, "store", seconds)(at) if at.stores else None


OF_QUEUE: tuple[Callable[[ForQueue], Service | None], ...] = (
    _forwarder,
    lambda at: Recoverer(at.name, at.parts.many, at.backoff),
    lambda at: Janitor(at.name, at.parts.many, at.backoff),
    lambda at: OutboxJanitor(at.name, at.parts.many, at.parts.delivery, at.backoff),
    lambda at: Sweeper(at.name, at.parts.many, at.backoff, joins=at.rule is not None),
    _aggregator,
    _guarded_store_janitor,
)
"""In the order of their start."""

OF_WORKER: tuple[Callable[[ForWorker], Service], ...] = (
    lambda at: Heartbeat(
        at.parts.broker,
        at.parts.identity,
        at.parts.clock,
        queues=at.queues,
        published=lambda: at.partitions.declared,
        status=at.status,
        strict=at.parts.config.strict,
        concurrency=lambda: at.parts.supervisor.concurrency,
        running=at.parts.supervisor.running,
    ),
)

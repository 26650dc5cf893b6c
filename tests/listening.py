"""Who listens to events for as long as a test lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from taskflow.telemetry import lines
from taskflow.telemetry.events import Event, attach


def kinds(kind: type[Event] = Event) -> list[type[Event]]:
    """A kind of events, and all below it."""
    return [kind, *(below for child in kind.__subclasses__() for below in kinds(child))]


@contextmanager
def logged() -> Iterator[None]:
    """The lines of the log are written, as in a worker and its children."""
    lines.Lines().begin()
    try:
        yield
    finally:
        for kind in kinds():
            kind.heard = tuple(one for one in kind.heard if one is not lines._write)


@contextmanager
def listening(*wanted: type[Event]) -> Iterator[list[Event]]:
    """The events of these kinds, or of all, as they come."""
    told: list[Event] = []
    detach: Callable[[], None] = attach(told.append, wanted or [Event])
    try:
        yield told
    finally:
        detach()

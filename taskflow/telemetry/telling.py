"""Who is told of an event: listeners are attached to kinds of events, and called where the fact is known.

What nobody hears costs one look at a tuple, since whoever makes an event asks first:

    if Succeeded.heard:
        emit(Succeeded(task.name, task_id, queue, retried, seconds))
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import ClassVar

import msgspec

from .flood import Flood
from .safe import SafeLogger
from .traces import kind_of, place

logger = SafeLogger("taskflow.events")

Listener = Callable[..., object]
"""Takes one event. It is called in the thread, and on the event loop, in which the fact is known."""


class Event(msgspec.Struct, frozen=True):
    """Something has happened. Whoever listens to a class listens to those below it, too."""

    heard: ClassVar[tuple[Listener, ...]] = ()
    """Who listens to this kind, in the order of attaching."""

    told_in: ClassVar[frozenset[str]] = frozenset()
    """Where it becomes known: "client" (whoever enqueues), "child" (the process that runs tasks), "worker". Empty: a base."""


class Audience:
    """Whose events are meant: those of one app. A process may have several, and each hears of its own tasks only."""


class _OfOneApp:
    """A listener of one app.

    Args:
        listener: called with each event of this audience.
        audience: the app's; None: what is told without one, as all that the worker process tells.
    """

    __slots__ = ("audience", "listener")

    def __init__(self, listener: Listener, audience: Audience | None) -> None:
        self.listener = listener
        self.audience = audience

    def __call__(self, event: Event) -> object:
        return self.listener(event)


_changing = threading.RLock()
"""Reentrant: an app that is collected detaches its listeners, and may be collected while one is attached or detached."""
_flood = Flood()


def attach(listener: Listener, kinds: Iterable[type[Event]] = (Event,)) -> Callable[[], None]:
    """Tell a listener of all events of these kinds from now on, in this process, after those that were attached before it.

    It is called where the fact is known, between tasks: one that takes its time takes it from them. What it raises costs a
    line in the log, and nothing else.

    Args:
        listener: called with each event.
        kinds: classes of events; those below them count, too.

    Returns:
        What detaches it again.

    Example:
        >>> from taskflow.telemetry.events import Recovered
        >>> seen = []
        >>> detach = attach(seen.append, [Recovered])
        >>> emit(Recovered("images", 3))
        >>> detach()
        >>> seen
        [Recovered(queue='images', count=3)]
    """
    wanted = {kind for given in kinds for kind in family(given)}
    for kind in wanted:
        if listener not in kind.heard:
            _change(kind, lambda heard: (*heard, listener))

    def detach() -> None:
        for kind in wanted:
            _change(kind, lambda heard: tuple(other for other in heard if other is not listener))

    return detach


def _change(kind: type[Event], change: Callable[[tuple[Listener, ...]], tuple[Listener, ...]]) -> None:
    with _changing:
        changed = False
        while not changed:
            heard = kind.heard
            wanted = change(heard)
            if changed := kind.heard is heard:  # else a collection came in between, and detached one
                kind.heard = wanted


def attach_in(
    audience: Audience | None, listener: Listener, kinds: Iterable[type[Event]]
) -> Callable[[], None]:
    """As `attach`, for the events of one app only; None: for those that are told without one."""
    return attach(_OfOneApp(listener, audience), kinds)


def emit(event: Event, audience: Audience | None = None) -> None:
    """Tell all who listen, one after the other. Nothing that they raise gets out of here.

    Args:
        event: what has happened.
        audience: of which app.
    """
    for listener in event.heard:
        if type(listener) is _OfOneApp:
            if listener.audience is not audience:
                continue
            listener = listener.listener
        try:
            listener(event)
        except BaseException as error:  # noqa: BLE001 - it must not end the thread of a task, nor keep it from the others
            _say(listener, event, error)


def emit_to(audience: Audience, event: Event) -> None:
    """Tell those of one app only: it has been told to all others in the process where it happened."""
    for listener in event.heard:
        if type(listener) is _OfOneApp and listener.audience is audience:
            try:
                listener.listener(event)
            except BaseException as error:  # noqa: BLE001 - as above
                _say(listener.listener, event, error)


def hears(audience: Audience) -> list[type[Event]]:
    """The kinds that somebody of this audience listens to."""
    return [
        kind
        for kind in family(Event)
        if any(type(one) is _OfOneApp and one.audience is audience for one in kind.heard)
    ]


def family(kind: type[Event]) -> Iterator[type[Event]]:
    """A kind of events, and all below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from family(below)


def _say(listener: Listener, event: Event, error: BaseException) -> None:
    """Its name is the user's, and may raise as well."""
    with suppress(BaseException):
        name = str(getattr(listener, "__qualname__", type(listener).__qualname__))
        say_failed(f"The listener {name}", f"an event ({type(event).__name__})", error)


def say_failed(who: str, at: str, error: BaseException) -> None:
    """Say that what may not hurt anything has failed. Without the exception: its text may hold what a task was given.

    Args:
        who: what has failed; of each there are a few lines a minute.
        at: what it was called for.
        error: what it raised.
    """
    if (behind := _flood.passes(who)) is not None:
        text = "%s failed at %s: %s at %s; nothing else is hurt" + behind
        logger.error(text, who, at, kind_of(error), place(error))

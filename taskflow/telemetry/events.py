"""What happens to tasks, to children and to a worker, as values; and who is told.

An event is made where the fact is known: mostly in the child, which has the function, its name and its exception. Whoever makes
one asks first whether anybody listens, so that what nobody hears costs one look at a tuple:

    if Succeeded.heard:
        emit(Succeeded(task.name, task_id, queue, retried, seconds))

No event holds an argument or a result.
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


class TaskEvent(Event, frozen=True):
    """Something has happened to a task.

    `task` is its name, "" where its message cannot be read; `id` is the one under which it is stored; `queue` is the one from
    which it was taken, of one with partitions the partition; `retried` says how many attempts failed before.
    """

    task: str
    id: str
    queue: str
    retried: int


# --- in a child, in this order ----------------------------------------------------------------------------------------


class Received(TaskEvent, frozen=True):
    """A child has it, and can run it."""


class Started(TaskEvent, frozen=True):
    """Its arguments fit, and its function is called now, in the context in which this is told."""


class TimedOut(TaskEvent, frozen=True):
    """A time limit has passed; what becomes of the task is told after this.

    `hard`: the limit that is watched from outside. Then the worker tells it, while the task runs, and `killed` says whether its
    process is ended for it (`-P solo` has none to end).
    """

    hard: bool = False
    killed: bool = False


class Cancelled(TaskEvent, frozen=True):
    """The attempt ended since somebody asked for that; what becomes of the task is told after this."""


class Succeeded(TaskEvent, frozen=True):
    """It has returned, after so many seconds, and its verdict is on its way. So it is with all that end an attempt."""

    seconds: float


class Retried(TaskEvent, frozen=True):
    """An attempt failed, and there will be another in `delay` seconds.

    `error` is the exception, with its traceback; with `TaskFlow(error_text=False)` one that stands for it and has no text.
    `source` is the file of the task's function.
    """

    seconds: float
    error: BaseException
    delay: float
    source: str = ""


class Archived(TaskEvent, frozen=True):
    """There will be no other attempt, unless somebody asks for one. `error` and `source` as in `Retried`."""

    seconds: float = 0.0
    error: BaseException | None = None
    source: str = ""


class ResultLost(Archived, frozen=True):
    """It has run, and what it returned cannot be kept."""


class Expired(Archived, frozen=True):
    """It was to start by a certain time, and had not; `late_seconds` is how long ago that was, where it is known."""

    late_seconds: float | None = None


class Unread(Archived, frozen=True):
    """Its message may not be read, or cannot: archived as it is.

    `kind` is a word for why, and `reason` says it in a sentence that holds nothing of the message. `count`: how many there were
    in this process, where they are counted.
    """

    kind: str = ""
    reason: str = ""
    count: int = 0


class Poisonous(Archived, frozen=True):
    """So many processes have died while it ran, and there will be no more of them."""

    crashes: int = 0


class Unwritable(Archived, frozen=True):
    """Its verdict could not be written, so it has this one: it may have done its work."""

    reason: str = ""


class PutBack(TaskEvent, frozen=True):
    """Nobody here can run it (`reason`): it waits for `delay` seconds, for a worker that can."""

    reason: str
    delay: float


class PolicyRaised(Event, frozen=True):
    """The retry policy of a task raised, in the place of a decision."""

    task: str
    error: BaseException


class LeftBehind(Event, frozen=True):
    """What a task has left behind on the event loop failed, or the loop complains of it (`text`)."""

    error: BaseException | None = None
    text: str = ""


class Unexpected(Event, frozen=True):
    """What runs tasks failed in a way that nobody has thought of, and goes on."""

    error: BaseException


# --- in the worker ----------------------------------------------------------------------------------------------------


class Requeued(TaskEvent, frozen=True):
    """It is in its queue again, and this is no verdict on it. `crashed`: its process died while it ran, which is counted."""

    crashed: bool = False


class GivenUp(TaskEvent, frozen=True):
    """No verdict on it can be written: it is about to be requeued."""


class LeaseLost(TaskEvent, frozen=True):
    """Somebody else has it now; the verdict on what runs here will be refused."""


class VerdictRefused(TaskEvent, frozen=True):
    """A verdict came too late: the task was somebody else's by then."""


class Quarantined(Event, frozen=True):
    """Tasks that were running when a process died run apart from the others: their ids, queues and crashes."""

    tasks: tuple[tuple[str, str, int], ...]


class Recovered(Event, frozen=True):
    """So many tasks of a queue, whose workers are gone, are in it again."""

    queue: str
    count: int


class ChildStarted(Event, frozen=True):
    """A child has imported the app and can be given tasks."""

    pid: int


class ChildReplaced(Event, frozen=True):
    """A child does not get on (`reason`): it gets nothing more, and another takes its place."""

    pid: int
    reason: str


class ChildStopped(Event, frozen=True):
    """A child has ended; `code` in words. `wanted`: it was told to, and held nothing any more.

    `running` tasks had started, `waiting` ones had not; all go back.
    """

    pid: int
    code: str
    wanted: bool
    running: int
    waiting: int


class WorkerStarted(Event, frozen=True):
    """It is about to take tasks; `summary` says of what, in several lines."""

    app: str
    broker: str
    queues: tuple[str, ...]
    summary: str


class WorkerStopping(Event, frozen=True):
    """It takes nothing more, and what runs has `grace` seconds. `again`: that was said before, with more of them."""

    grace: float
    again: bool = False


class WorkerStopped(Event, frozen=True):
    """It holds nothing any more. The stop took so many seconds; `attempts` at tasks ended while it ran, `failures` badly."""

    seconds: float
    attempts: int
    failures: int


# --- who is told ------------------------------------------------------------------------------------------------------

_changing = threading.Lock()
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
        >>> seen = []
        >>> detach = attach(seen.append, [Recovered])
        >>> emit(Recovered("images", 3))
        >>> detach()
        >>> seen
        [Recovered(queue='images', count=3)]
    """
    wanted = {kind for given in kinds for kind in _family(given)}
    with _changing:
        for kind in wanted:
            if listener not in kind.heard:
                kind.heard = (*kind.heard, listener)

    def detach() -> None:
        with _changing:
            for kind in wanted:
                kind.heard = tuple(other for other in kind.heard if other is not listener)

    return detach


def emit(event: Event) -> None:
    """Tell all who listen, one after the other. Nothing that they raise gets out of here."""
    for listener in event.heard:
        try:
            listener(event)
        except BaseException as error:  # noqa: BLE001 - it must not end the thread of a task, nor keep it from the others
            _say(listener, event, error)


def _family(kind: type[Event]) -> Iterator[type[Event]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _family(below)


def _say(listener: Listener, event: Event, error: BaseException) -> None:
    """Its name is the user's, and may raise as well. Without the exception: its text may hold what the task was given."""
    with suppress(BaseException):
        name = str(getattr(listener, "__qualname__", type(listener).__qualname__))
        if (behind := _flood.passes(name)) is not None:
            text = "The listener %s failed at an event (%s): %s at %s; nothing else is hurt" + behind
            logger.error(text, name, type(event).__name__, kind_of(error), place(error))

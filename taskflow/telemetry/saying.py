"""How a line about an event is written: its beginning, what stands beside it for handlers, and the words that several have."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from . import events
from .escape import cut
from .events import TaskEvent
from .flood import Flood
from .logs import QUIET
from .safe import SafeLogger
from .traces import exc_info, kind_of, place

task, worker = SafeLogger("taskflow.task"), SafeLogger("taskflow.worker")

LONGEST_NAME = 200
"""Characters of a task's name or id in a line: others may store a megabyte."""

flood = Flood()
"""Shared by all lines whose number somebody else decides on."""


def shown(text: str) -> str:
    """A name or an id as a line shows it."""
    return cut(text, LONGEST_NAME)


def counted(count: int, what: str) -> str:
    """How many there are of something.

    Example:
        >>> counted(1, "task"), counted(2000, "task")
        ('1 task', '2000 tasks')
    """
    return f"{count} {what}{'' if count == 1 else 's'}"


def say(
    logger: SafeLogger,
    level: int,
    text: str,
    event: TaskEvent,
    *values: object,
    error: BaseException | None = None,
) -> None:
    """A line that begins with name and id; a traceback of the user's code is for others who listen."""
    facts = facts_of(event)
    words = (facts["task"], facts["id"], *values)
    if error is None:
        logger.log(level, text, *words, extra=facts)
    else:
        facts[QUIET] = True
        logger.log(level, text, *words, exc_info=exc_info(error), extra=facts)


def say_of(
    logger: SafeLogger,
    level: int,
    text: str,
    event: TaskEvent,
    *values: object,
    error: BaseException | None = None,
    more: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """A line that begins with id and queue; a traceback is of our own code, and shown."""
    trace = None if error is None else exc_info(error)
    facts = {**facts_of(event), **more}
    logger.log(level, text, facts["id"], event.queue, *values, exc_info=trace, extra=facts)


def facts_of(event: TaskEvent) -> dict[str, object]:
    """What stands beside a line, for JSON and for handlers of the app's."""
    facts: dict[str, object] = {
        "task": shown(event.task),
        "id": shown(event.id),
        "queue": event.queue,
        "retried": event.retried,
    }
    if type(event) in _RAN:
        facts["seconds"] = round(event.seconds, 6)  # type: ignore[attr-defined]
    return facts


_RAN = frozenset({events.Succeeded, events.Retried, events.Snoozed, events.Archived, events.ResultLost})


def what(error: BaseException, source: str) -> str:
    """An exception in a line: its type, and where it was raised, best in the file of the task."""
    where = place(error, source)
    return f"{kind_of(error)} at {where}" if where else kind_of(error)


def rounded(seconds: float) -> str:
    """As a reader wants it: 0.3s, 12s."""
    return f"{seconds:.0f}s" if seconds >= 10 else f"{round(seconds, 2):g}s"

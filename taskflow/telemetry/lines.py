"""The log as a listener: what a line says of each event, on which logger, and at which level. Nobody else writes a task's line.

A line names the type of an exception and the place where it was raised. Its text may hold an argument: that is in the task. The
record carries the exception itself (`exc_info`), for handlers such as an error tracker's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from . import events
from .escape import cut
from .events import Event, TaskEvent
from .flood import Flood
from .logs import QUIET
from .safe import SafeLogger
from .traces import exc_info, kind_of, place

task, worker = SafeLogger("taskflow.task"), SafeLogger("taskflow.worker")

LONGEST_NAME = 200
"""Characters of a task's name or id in a line: others may store a megabyte."""

FREQUENT = (events.Received, events.Succeeded)
"""What is told of every task. At a level that shows neither, none of them is made."""

MOST_SHOWN = 5
"""Tasks that one line about many names."""

_flood = Flood()


class Lines:
    """Writes the lines of this process from `begin` on."""

    def __init__(self) -> None:
        self._shows_all: Callable[[], None] | None = None
        self._begun = False

    def begin(self) -> None:
        """Listen. A second time does nothing: with `-P solo` worker and child are one process."""
        if not self._begun:
            self._begun = True
            events.attach(_write, [kind for kind in _LINES if kind not in FREQUENT])
        self.follow()

    def follow(self) -> None:
        """Look which level the log has now: the app may change it at any time. Called once for each batch of tasks."""
        shown = task.enabled(logging.INFO)
        if shown and self._shows_all is None:
            self._shows_all = events.attach(_write, FREQUENT)
        elif not shown and self._shows_all is not None:
            self._shows_all()
            self._shows_all = None


lines = Lines()


def _write(event: Event) -> None:
    _LINES[type(event)](event)


def name(text: str) -> str:
    """A name or an id as a line shows it."""
    return cut(text, LONGEST_NAME)


# --- tasks, in a child ------------------------------------------------------------------------------------------------


def _received(event: events.Received) -> None:
    _say(task, logging.INFO, "Task %s[%s] received", event)


def _succeeded(event: events.Succeeded) -> None:
    _say(task, logging.INFO, "Task %s[%s] succeeded in %.4fs", event, event.seconds)


def _retried(event: events.Retried) -> None:
    if not task.enabled(logging.WARNING):
        return
    text = "Task %s[%s] failed in %.4fs: %s; next attempt in %s"
    what = _what(event.error, event.source)
    _say(task, logging.WARNING, text, event, event.seconds, what, _rounded(event.delay), error=event.error)


def _archived(event: events.Archived) -> None:
    _failed("Task %s[%s] failed in %.4fs: %s; archived", event)


def _result_lost(event: events.ResultLost) -> None:
    _failed("Task %s[%s] ran in %.4fs, but its return value cannot be kept: %s; archived", event)


def _failed(text: str, event: events.Archived) -> None:
    what = "" if event.error is None else _what(event.error, event.source)
    _say(task, logging.ERROR, text, event, event.seconds, what, error=event.error)


def _expired(event: events.Expired) -> None:
    if event.late is None:
        _say(task, logging.WARNING, "Task %s[%s] had not started when it expired; archived", event)
    else:
        text = "Task %s of queue %s is archived: it had not started when it expired, %.1f s ago"
        _say_of(worker, logging.WARNING, text, event, event.late)


def _unread(event: events.Unread) -> None:
    logger = worker if event.kind == "large" else task
    text = "Task %s in queue %s was archived unread: %s"
    values: tuple[object, ...] = (event.reason,)
    more: dict[str, object] = {"reason": event.kind}
    if event.count:
        text, values = text + " (%d so far in this process)", (event.reason, event.count)
        more["refused"] = event.count
    if (behind := _flood.passes(f"unread {event.kind}")) is not None:
        _say_of(logger, logging.ERROR, text + behind, event, *values, error=event.error, more=more)


def _poisonous(event: events.Poisonous) -> None:
    text = "Task %s of queue %s is archived: its process died %d times while it ran"
    _say_of(worker, logging.ERROR, text, event, event.crashes)


def _unwritable(event: events.Unwritable) -> None:
    _say_of(worker, logging.ERROR, "Task %s of queue %s is archived: %s", event, event.reason)


def _put_back(event: events.PutBack) -> None:
    if (behind := _flood.passes(f"put back {name(event.task)}")) is not None:
        text = "Task %s[%s] %s; put back for %s, for a worker that can run it" + behind
        _say(task, logging.WARNING, text, event, event.reason, _rounded(event.delay))


def _policy_raised(event: events.PolicyRaised) -> None:
    trace = exc_info(event.error)
    text = "The retry policy of task %s raised"
    task.error(text, name(event.task), exc_info=trace, extra={"task": name(event.task)})


def _left_behind(event: events.LeftBehind) -> None:
    if event.error is None:
        task.error("The event loop of the tasks reports: %s", event.text)
        return
    text = "What a task left behind on the event loop failed: %s at %s"
    trace = exc_info(event.error)
    task.error(text, kind_of(event.error), place(event.error), exc_info=trace, extra={QUIET: True})


def _unexpected(event: events.Unexpected) -> None:
    text, error = "Running tasks failed unexpectedly (%s); it goes on", event.error
    task.error(text, kind_of(error), exc_info=exc_info(error))


# --- tasks, in the worker ---------------------------------------------------------------------------------------------


def _timed_out(event: events.TimedOut) -> None:
    if event.hard and event.killed:
        text = "Task %s in queue %s is over its hard time limit; its process will be killed"
        _say_of(worker, logging.ERROR, text, event)
    elif event.hard:
        text = (
            "Task %s in queue %s is over its hard time limit, and -P solo cannot end it: nothing else runs "
            "meanwhile"
        )
        _say_of(worker, logging.ERROR, text, event)


def _given_up(event: events.GivenUp) -> None:
    text = "Task %s of queue %s is handed back: no verdict on it can be written"
    _say_of(worker, logging.ERROR, text, event)


def _lease_lost(event: events.LeaseLost) -> None:
    text = "The lease on task %s of queue %s is gone; its verdict will be refused"
    _say_of(worker, logging.DEBUG, text, event)


def _verdict_refused(event: events.VerdictRefused) -> None:
    if (behind := _flood.passes("refused verdict")) is not None:
        text = "A late verdict on task %s of queue %s was refused: it is not ours any more" + behind
        _say_of(worker, logging.WARNING, text, event)


def _quarantined(event: events.Quarantined) -> None:
    shown = [f"{name(id_)} of queue {queue} ({crashes})" for id_, queue, crashes in event.tasks[:MOST_SHOWN]]
    if len(event.tasks) > MOST_SHOWN:
        shown.append("...")
    count = len(event.tasks)
    text = "%s when a process died, and %s apart from the others now: %s"
    were = f"{counted(count, 'task')} {'was' if count == 1 else 'were'} running"
    worker.warning(text, were, "runs" if count == 1 else "run", ", ".join(shown))


def _recovered(event: events.Recovered) -> None:
    their, were = ("its", "was") if event.count == 1 else ("their", "were")
    text = "%s of queue %s had lost %s worker and %s given back"
    worker.warning(text, counted(event.count, "task"), event.queue, their, were)


# --- processes --------------------------------------------------------------------------------------------------------


def _child_replaced(event: events.ChildReplaced) -> None:
    worker.error("Child %d is replaced: %s; what runs in it may end", event.pid, event.reason)


def _child_stopped(event: events.ChildStopped) -> None:
    if event.wanted:
        return
    running, waiting = counted(event.running, "task"), event.waiting
    text = "Child %d ended (%s) while it ran %s; %d more had not started; all go back at once"
    worker.error(text, event.pid, event.code, running, waiting)


def _worker_started(event: events.WorkerStarted) -> None:
    worker.info(event.summary)


def _worker_stopping(event: events.WorkerStopping) -> None:
    if event.grace > 0:
        text = "Stopping: running tasks have %.0f s; stop again to hand them back at once"
        worker.info(text, event.grace)
    else:
        level = logging.WARNING if event.again else logging.INFO
        worker.log(level, "Stopping at once: running tasks are handed back")


def _worker_stopped(event: events.WorkerStopped) -> None:
    text = "Stopped after %.1f s; %s, %d failed"
    worker.info(text, event.seconds, counted(event.attempts, "attempt"), event.failures)


# ----------------------------------------------------------------------------------------------------------------------

_LINES: Mapping[type[Event], Callable[[Any], None]] = {
    events.Received: _received,
    events.Succeeded: _succeeded,
    events.Retried: _retried,
    events.Archived: _archived,
    events.ResultLost: _result_lost,
    events.Expired: _expired,
    events.Unread: _unread,
    events.Poisonous: _poisonous,
    events.Unwritable: _unwritable,
    events.PutBack: _put_back,
    events.PolicyRaised: _policy_raised,
    events.LeftBehind: _left_behind,
    events.Unexpected: _unexpected,
    events.TimedOut: _timed_out,
    events.GivenUp: _given_up,
    events.LeaseLost: _lease_lost,
    events.VerdictRefused: _verdict_refused,
    events.Quarantined: _quarantined,
    events.Recovered: _recovered,
    events.ChildReplaced: _child_replaced,
    events.ChildStopped: _child_stopped,
    events.WorkerStarted: _worker_started,
    events.WorkerStopping: _worker_stopping,
    events.WorkerStopped: _worker_stopped,
}


def counted(count: int, what: str) -> str:
    """How many there are of something.

    Example:
        >>> counted(1, "task"), counted(2000, "task")
        ('1 task', '2000 tasks')
    """
    return f"{count} {what}{'' if count == 1 else 's'}"


def _say(
    logger: SafeLogger,
    level: int,
    text: str,
    event: TaskEvent,
    *values: object,
    error: BaseException | None = None,
) -> None:
    """A line that begins with name and id; a traceback of the user's code is for others who listen."""
    facts = _facts(event)
    words = (facts["task"], facts["id"], *values)
    if error is None:
        logger.log(level, text, *words, extra=facts)
    else:
        facts[QUIET] = True
        logger.log(level, text, *words, exc_info=exc_info(error), extra=facts)


def _say_of(
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
    facts = {**_facts(event), **more}
    logger.log(level, text, facts["id"], event.queue, *values, exc_info=trace, extra=facts)


def _facts(event: TaskEvent) -> dict[str, object]:
    """What stands beside a line, for JSON and for handlers of the app's."""
    facts: dict[str, object] = {
        "task": cut(event.task, LONGEST_NAME),
        "id": cut(event.id, LONGEST_NAME),
        "queue": event.queue,
        "retried": event.retried,
    }
    if type(event) in _RAN:
        facts["seconds"] = round(event.seconds, 6)  # type: ignore[attr-defined]
    return facts


_RAN = frozenset({events.Succeeded, events.Retried, events.Archived, events.ResultLost})


def _what(error: BaseException, source: str) -> str:
    """An exception in a line: its type, and where it was raised, best in the file of the task."""
    where = place(error, source)
    return f"{kind_of(error)} at {where}" if where else kind_of(error)


def _rounded(seconds: float) -> str:
    """As a reader wants it: 0.3s, 12s."""
    return f"{seconds:.0f}s" if seconds >= 10 else f"{round(seconds, 2):g}s"

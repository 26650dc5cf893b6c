"""The lines about tasks, children and itself that a worker writes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from . import events, saying
from .events import Event
from .saying import counted, say_of, shown, worker

MOST_SHOWN = 5
"""Tasks that one line about many names."""


def _timed_out(event: events.TimedOut) -> None:
    if event.hard:
        killed, stays = (
            "; its process will be killed",
            ", and -P solo cannot end it: nothing else runs meanwhile",
        )
        text = "Task %s in queue %s is over its hard time limit" + (killed if event.killed else stays)
        say_of(worker, logging.ERROR, text, event)


def _cancelled(event: events.Cancelled) -> None:
    if event.by_worker:
        say_of(worker, logging.INFO, "Task %s of queue %s was cancelled, and is archived", event)


def _poisonous(event: events.Poisonous) -> None:
    text = "Task %s of queue %s is archived: its process died %d times while it ran"
    say_of(worker, logging.ERROR, text, event, event.crashes)


def _unwritable(event: events.Unwritable) -> None:
    say_of(worker, logging.ERROR, "Task %s of queue %s is archived: %s", event, event.reason)


def _given_up(event: events.GivenUp) -> None:
    text = "Task %s of queue %s is handed back: no verdict on it can be written"
    say_of(worker, logging.ERROR, text, event)


def _lease_lost(event: events.LeaseLost) -> None:
    text = "The lease on task %s of queue %s is gone; its verdict will be refused"
    say_of(worker, logging.DEBUG, text, event)


def _verdict_refused(event: events.VerdictRefused) -> None:
    if (behind := saying.flood.passes("refused verdict")) is not None:
        text = "A late verdict on task %s of queue %s was refused: it is not ours any more" + behind
        say_of(worker, logging.WARNING, text, event)


def _quarantined(event: events.Quarantined) -> None:
    some = [f"{shown(id_)} of queue {queue} ({crashes})" for id_, queue, crashes in event.tasks[:MOST_SHOWN]]
    if len(event.tasks) > MOST_SHOWN:
        some.append("...")
    count = len(event.tasks)
    text = "%s when a process died, and %s apart from the others now: %s"
    were = f"{counted(count, 'task')} {'was' if count == 1 else 'were'} running"
    worker.warning(text, were, "runs" if count == 1 else "run", ", ".join(some))


def _recovered(event: events.Recovered) -> None:
    their, were = ("its", "was") if event.count == 1 else ("their", "were")
    text = "%s of queue %s had lost %s worker and %s given back"
    worker.warning(text, counted(event.count, "task"), event.queue, their, were)


def _child_replaced(event: events.ChildReplaced) -> None:
    worker.error("Child %d is replaced: %s; what runs in it may end", event.pid, event.reason)


def _child_recycled(event: events.ChildRecycled) -> None:
    worker.info("Child %d is replaced: %s", event.pid, event.reason)


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


LINES: Mapping[type[Event], Callable[[Any], None]] = {
    events.Cancelled: _cancelled,
    events.Poisonous: _poisonous,
    events.Unwritable: _unwritable,
    events.TimedOut: _timed_out,
    events.GivenUp: _given_up,
    events.LeaseLost: _lease_lost,
    events.VerdictRefused: _verdict_refused,
    events.Quarantined: _quarantined,
    events.Recovered: _recovered,
    events.ChildReplaced: _child_replaced,
    events.ChildRecycled: _child_recycled,
    events.ChildStopped: _child_stopped,
    events.WorkerStarted: _worker_started,
    events.WorkerStopping: _worker_stopping,
    events.WorkerStopped: _worker_stopped,
}

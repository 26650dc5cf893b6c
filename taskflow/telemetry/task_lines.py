"""The lines about tasks that a child writes.

A line names the type of an exception and the place where it was raised. Its text may hold an argument: that is in the task. The
record carries the exception itself (`exc_info`), for handlers such as an error tracker's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import Cancel, TaskCancelled
from . import events, saying
from .events import Event
from .logs import QUIET
from .saying import rounded, say, say_of, shown, task, what, worker
from .traces import exc_info, kind_of, place


def _received(event: events.Received) -> None:
    say(task, logging.INFO, "Task %s[%s] received", event)


def _succeeded(event: events.Succeeded) -> None:
    say(task, logging.INFO, "Task %s[%s] succeeded in %.4fs", event, event.seconds)


def _retried(event: events.Retried) -> None:
    level = logging.INFO if event.expected else logging.WARNING
    if not task.enabled(level):
        return
    text = "Task %s[%s] failed in %.4fs: %s; next attempt in %s"
    values = event.seconds, what(event.error, event.source), rounded(event.delay)
    say(task, level, text, event, *values, error=None if event.expected else event.error)


def _snoozed(event: events.Snoozed) -> None:
    text = "Task %s[%s] snoozed in %.4fs; it runs again in %s"
    say(task, logging.INFO, text, event, event.seconds, rounded(event.delay))


def _archived(event: events.Archived) -> None:
    if isinstance(event.error, TaskCancelled | Cancel):
        # No failure, and nothing to look into.
        say(task, logging.INFO, "Task %s[%s] was cancelled after %.4fs; archived", event, event.seconds)
        return
    _failed("Task %s[%s] failed in %.4fs: %s; archived", event)


def _result_lost(event: events.ResultLost) -> None:
    _failed("Task %s[%s] ran in %.4fs, but its return value cannot be kept: %s; archived", event)


def _failed(text: str, event: events.Archived) -> None:
    found = "" if event.error is None else what(event.error, event.source)
    if event.expected:
        say(task, logging.INFO, text, event, event.seconds, found)
    else:
        say(task, logging.ERROR, text, event, event.seconds, found, error=event.error)


def _expired(event: events.Expired) -> None:
    if event.late_seconds is None:
        say(task, logging.WARNING, "Task %s[%s] had not started when it expired; archived", event)
    else:
        text = "Task %s of queue %s is archived: it had not started when it expired, %.1f s ago"
        say_of(worker, logging.WARNING, text, event, event.late_seconds)


def _unread(event: events.Unread) -> None:
    logger = worker if event.kind == "large" else task
    text = "Task %s in queue %s was archived unread: %s"
    values: tuple[object, ...] = (event.reason,)
    more: dict[str, object] = {"reason": event.kind}
    if event.count:
        text, values = text + " (%d so far in this process)", (event.reason, event.count)
        more["refused"] = event.count
    if (behind := saying.flood.passes(f"unread {event.kind}")) is not None:
        say_of(logger, logging.ERROR, text + behind, event, *values, error=event.error, more=more)


def _put_back(event: events.PutBack) -> None:
    if (behind := saying.flood.passes(f"put back {shown(event.task)}")) is not None:
        text = "Task %s[%s] %s; put back for %s, for a worker that can run it" + behind
        say(task, logging.WARNING, text, event, event.reason, rounded(event.delay))


def _policy_raised(event: events.PolicyRaised) -> None:
    trace = exc_info(event.error)
    text = "The retry policy of task %s raised"
    task.error(text, shown(event.task), exc_info=trace, extra={"task": shown(event.task)})


def _hook_raised(event: events.HookRaised) -> None:
    text, name = "The hook %s of task %s raised; the task's verdict stays as it is", shown(event.task)
    task.error(text, event.hook, name, exc_info=exc_info(event.error), extra={"task": name})


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


LINES: Mapping[type[Event], Callable[[Any], None]] = {
    events.Received: _received,
    events.Succeeded: _succeeded,
    events.Retried: _retried,
    events.Snoozed: _snoozed,
    events.Archived: _archived,
    events.ResultLost: _result_lost,
    events.Expired: _expired,
    events.Unread: _unread,
    events.PutBack: _put_back,
    events.PolicyRaised: _policy_raised,
    events.HookRaised: _hook_raised,
    events.LeftBehind: _left_behind,
    events.Unexpected: _unexpected,
}

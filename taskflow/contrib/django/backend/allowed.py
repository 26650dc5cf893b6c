"""Which of taskflow's options a task of Django's may have: in `OPTIONS` of its backend, at its declaration, for one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from django.conf import settings

from taskflow import errors

CALLS = (
    "timeout",
    "hard_timeout",
    "max_retries",
    "retention",
    "failure_retention",
    "unique",
    "expires",
    "headers",
    "enqueue_timeout",
    "durable",
    "compression",
)
"""What a call may have, too: `send.using(timeout=60)`."""

DECLARED = (
    "log_lines",
    "pool",
    "throws",
    "wait",
    "stop",
    "retry",
    "autoretry_for",
    "dont_autoretry_for",
    "retry_backoff",
    "retry_backoff_max",
    "retry_jitter",
    "default_retry_delay",
)
"""What the worker has from the code: for all calls of a task alike."""

OPTIONS = (*CALLS, *DECLARED)

ELSEWHERE = {
    "queue": "queue_name, which Django has for it",
    "delay": "run_after: task.using(run_after=timezone.now() + timedelta(...))",
    "countdown": "run_after: task.using(run_after=timezone.now() + timedelta(...))",
    "eta": "run_after: task.using(run_after=...)",
    "deadline": "timeout, or expires",
    "id": "unique: an id is made for each call",
    "group": "@shared_task: groups are joined into calls of a task of taskflow's own",
    "name": "nothing: a task of Django's is called as its function is",
    "bind": "takes_context, which Django has for it",
    "base": "Django's signals: task_started, task_finished",
    "serializer": "nothing: Django's tasks have arguments of JSON",
    "ignore_result": "retention=0",
    "soft_time_limit": "timeout",
    "time_limit": "hard_timeout",
    "broker": 'TASKFLOW = {"BROKER": …}',
}
"""Other words, and what to write."""

DEFAULTS = {"max_retries": 0, "retention": 86400}
"""What holds where neither the task nor its backend nor `TASKFLOW` says anything. Django's contract knows no second attempt, so a
task of somebody else's app need not bear one; and it promises that a result can be asked for.
"""


def check(given: Iterable[str], allowed: Iterable[str], where: str) -> None:
    """Refuse options by their names.

    Raises:
        UnknownOption: one has no place there.
    """
    for name in given:
        if name not in allowed:
            raise errors.UnknownOption(f"{where} takes no {name!r}{_hint(name, allowed)}")


def defaults() -> dict[str, Any]:
    """What holds for every task of Django's, unless `TASKFLOW` says what holds for all tasks."""
    own = {str(name).lower() for name in getattr(settings, "TASKFLOW", {})}
    return {name: value for name, value in DEFAULTS.items() if name not in own}


def chosen(names: Iterable[str], *layers: Mapping[str, Any]) -> dict[str, Any]:
    """What several layers say of these options, the later over the earlier; headers add up."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for name in names:
            value = layer.get(name)
            if value is not None:
                merged[name] = {**merged.get(name, {}), **value} if name == "headers" else value
    return merged


def _hint(name: str, allowed: Iterable[str]) -> str:
    if name in ELSEWHERE:
        return f"; use {ELSEWHERE[name]}"
    if name in OPTIONS:
        return ": workers have it from the declaration, @task(...)"
    near = get_close_matches(name, [*allowed], 1)
    return f"; did you mean {near[0]!r}?" if near else ""

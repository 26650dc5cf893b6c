"""What is kept of a task, as Django's `TaskResult`."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any

from django.tasks import Task, TaskResult, TaskResultStatus, task_backends
from django.tasks.base import TaskError
from django.tasks.exceptions import InvalidTaskBackend, TaskResultDoesNotExist

from taskflow import FailedAttempt, State, TaskRecord, errors

from . import facts
from .declared import declared

STATUS = {
    State.PENDING: TaskResultStatus.READY,
    State.SCHEDULED: TaskResultStatus.READY,
    State.RETRY: TaskResultStatus.READY,
    State.AGGREGATING: TaskResultStatus.READY,
    State.ACTIVE: TaskResultStatus.RUNNING,
    State.ARCHIVED: TaskResultStatus.FAILED,
    State.COMPLETED: TaskResultStatus.SUCCESSFUL,
}
"""Django has four words where there are seven states."""

UNKNOWN = "unknown"
"""Stands for a worker that is not known any more, so that as many are named as there were attempts."""

NEVER_RAN = frozenset({"Expired", "TaskCancelled"})
"""What a task may be archived with without having run."""


def alias_of(said: facts.Facts | None) -> tuple[str, type[Any]]:
    """The alias and the class of the backend that a task was enqueued with; if there is none any more, or somebody else has
    enqueued it, of the first that runs on taskflow.
    """
    from .backend import TaskFlowBackend  # which imports this

    names = [said.backend] if said is not None else []
    for alias in [*names, *task_backends]:
        try:
            backend = task_backends[alias]
        except InvalidTaskBackend:
            continue
        if isinstance(backend, TaskFlowBackend):
            return alias, type(backend)
    return names[0] if names else "default", TaskFlowBackend


def as_enqueued(name: str, said: facts.Facts | None, alias: str, queue: str) -> Task:
    """The task with what was chosen for the call. It is not checked again: what the settings say today is not what counted then.

    Raises:
        ImportError: its function is not there any more.
        TaskResultDoesNotExist: it is no task of Django's.
    """
    task = declared(name)
    if task is None:
        raise TaskResultDoesNotExist(f"{name} is no task of Django's")
    chosen = {
        "backend": alias,
        "queue_name": said.queue if said else queue,
        "run_after": said.run_after if said else None,
    }
    made = object.__new__(type(task))
    for one in fields(task):
        object.__setattr__(made, one.name, chosen.get(one.name, getattr(task, one.name)))
    return made


def result_of(record: TaskRecord, *, worker: str = "", started_at: datetime | None = None) -> TaskResult:
    """What is kept of a task, as Django shows it.

    Args:
        record: that.
        worker: which worker runs it at the moment.
        started_at: since when, where that is known.

    Raises:
        TaskResultDoesNotExist: it was not enqueued with this backend.
    """
    info, said = record.info, facts.read(record.headers)
    if said is None:
        raise TaskResultDoesNotExist(info.id)
    alias, _ = alias_of(said)
    status = STATUS[info.state]
    ran = [one for one in info.attempts if one.seconds is not None or one.kind not in NEVER_RAN]
    failed = max(
        len(ran),
        info.retried + (status is TaskResultStatus.FAILED and ran[-1:] == [*info.attempts][-1:] != []),
    )
    workers = [*[UNKNOWN] * (failed - len(ran)), *(one.worker or UNKNOWN for one in ran)]
    starts = [facts.as_django_has_it(one.at) for one in ran]
    finished_at, value = None, None
    if status is TaskResultStatus.SUCCESSFUL:
        ended = facts.ended(record.result)
        workers.append(ended.worker or UNKNOWN)
        starts.append(ended.started_at)
        value, finished_at = (
            ended.return_value,
            ended.finished_at or facts.as_django_has_it(info.completed_at),
        )
    elif status is TaskResultStatus.RUNNING:
        workers.append(worker or UNKNOWN)
        starts.append(facts.as_django_has_it(started_at))
    elif status is TaskResultStatus.FAILED:
        finished_at = facts.as_django_has_it(
            info.attempts[-1].ended_at if info.attempts else info.last_failed_at
        )
    result = TaskResult(
        task=as_enqueued(info.name, said, alias, info.queue),
        id=info.id,
        status=status,
        enqueued_at=said.enqueued_at,
        started_at=starts[0] if starts else None,
        finished_at=finished_at,
        last_attempted_at=starts[-1] if starts else None,
        args=record.kwargs.get("args", []),
        kwargs=record.kwargs.get("kwargs", {}),
        backend=alias,
        errors=_errors(record) if info.attempts or status is TaskResultStatus.FAILED else [],
        worker_ids=workers,
    )
    object.__setattr__(result, "_return_value", value)
    return result


def _errors(record: TaskRecord) -> list[TaskError]:
    """The failures that are kept. What ended it without an attempt, as an operator's word, is one, too."""
    attempts, kind = record.info.attempts, record.error_type
    found = [
        TaskError(exception_class_path=_path(one.module, one.type), traceback=_traceback(one))
        for one in attempts
    ]
    if kind and (not attempts or attempts[-1].kind != kind):
        found.append(
            TaskError(exception_class_path=_path("", kind), traceback=f"{kind}: {record.info.last_error}\n")
        )
    return found


def _path(module: str, kind: str) -> str:
    """Where the class of an exception is. What is no exception, but a word for what has happened, is one of taskflow's."""
    if module:
        return f"{module}.{kind}"
    return f"{errors.__name__}.{kind if kind and hasattr(errors, kind) else errors.TaskFailed.__name__}"


def _traceback(attempt: FailedAttempt) -> str:
    text = attempt.traceback or (f"{attempt.type}: {attempt.text}" if attempt.text else attempt.type)
    return f"{text.rstrip()}\n"

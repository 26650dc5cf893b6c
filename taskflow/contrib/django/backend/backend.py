"""`TaskFlowBackend`: a backend for `django.tasks` whose tasks workers of taskflow run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning
from django.db.models import Model
from django.tasks import Task, TaskResult, TaskResultStatus
from django.tasks.backends.base import BaseTaskBackend
from django.tasks.exceptions import InvalidTask, InvalidTaskBackend, TaskResultDoesNotExist
from django.tasks.signals import task_enqueued
from django.utils import timezone

from taskflow import AsyncResult, State, TaskFlow, TaskRecord
from taskflow.contrib.django import get_app
from taskflow.errors import ConfigurationError, InvalidTaskId, ResultMissing, TaskNotFound, UnknownOption

from . import allowed, declared, facts
from .results import result_of
from .task import TaskFlowTask


class TaskFlowBackend(BaseTaskBackend):  # type: ignore[misc]  # Django has no types
    """Enqueues Django's tasks with the app of the setting `TASKFLOW`, and finds their results.

    Each is a task of taskflow's with the path of its function as name, so all that tasks have these have, too: workers,
    pools, limits, retries, the tools and the admin.

    Args:
        alias: its name in `TASKS`.
        params: what `TASKS` says of it. `QUEUES` as Django has it; `OPTIONS` are options for its tasks, as `max_retries`: what
            `TaskFlowTask` has as fields.

    Raises:
        InvalidTaskBackend: there is no such option.
    """

    task_class = TaskFlowTask
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = False

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, params)
        try:
            allowed.check(self.options, allowed.OPTIONS, f'TASKS[{alias!r}]["OPTIONS"]')
        except UnknownOption as error:
            raise InvalidTaskBackend(str(error)) from None

    # --- declaring ------------------------------------------------------------------------------------------

    def validate_task(self, task: Task) -> None:
        """Refuse a task that cannot be; one that can is known to workers from then on. Django calls it for each that is made.

        Raises:
            InvalidTask: it cannot be.
            InvalidOption: an option cannot.
        """
        if task.priority != 0 and not self.supports_priority:
            raise InvalidTask(
                'Backend does not support setting priority of tasks. Give what is urgent a queue of its own, queue_name="urgent" '
                "(and the worker a weight for it: -Q urgent=6,default=1)"
            )
        super().validate_task(task)
        if not declared.is_declared(task):
            self.declare(task)
        elif isinstance(task, TaskFlowTask) and task.options and apps.is_installed("taskflow.contrib.django"):
            self._sender(get_app(), task)  # refuses what cannot be

    def declare(self, task: Task) -> None:
        """Have workers know a task. Whoever makes one with `@task` need not call it."""
        names = allowed.OPTIONS
        declared.declare(task, allowed.chosen(names, allowed.defaults(), self.options, _options(task)))

    # --- enqueueing -----------------------------------------------------------------------------------------

    def enqueue(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult:
        """Enqueue a call.

        Raises:
            InvalidTask: the task cannot be.
            TypeError: an argument is no JSON.
            DuplicateTask: with `unique`, an equal call is enqueued already.
            BrokerUnavailable: no answer within `enqueue_timeout`.
        """
        app, result = get_app(), self._new(task, args, kwargs)
        if app.eager:
            self._tell_first(result)
            handle = self._sender(app, task, result).delay(result.args, result.kwargs)
            return self._kept(result, handle)
        handle = self._sender(app, task, result).delay(result.args, result.kwargs)
        object.__setattr__(result, "id", handle.id)
        task_enqueued.send_robust(sender=type(self), task_result=result)
        return result

    async def aenqueue(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult:
        """As `enqueue`, from a coroutine, and without a thread."""
        app, result = get_app(), self._new(task, args, kwargs)
        if app.eager:
            self._tell_first(result)
            handle = await self._sender(app, task, result).adelay(result.args, result.kwargs)
            return self._kept(result, handle)
        handle = await self._sender(app, task, result).adelay(result.args, result.kwargs)
        object.__setattr__(result, "id", handle.id)
        await task_enqueued.asend_robust(sender=type(self), task_result=result)
        return result

    def _new(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult:
        """The result of a call that is about to be enqueued. Its arguments are JSON."""
        self.validate_task(task)
        try:
            return TaskResult(
                task=task,
                id="",
                status=TaskResultStatus.READY,
                enqueued_at=timezone.now(),
                started_at=None,
                finished_at=None,
                last_attempted_at=None,
                args=args,
                kwargs=kwargs,
                backend=self.alias,
                errors=[],
                worker_ids=[],
            )
        except TypeError as error:
            raise TypeError(f"{error}{_advice([*args, *kwargs.values()])}") from None

    def _sender(self, app: TaskFlow, task: Task, result: TaskResult | None = None) -> Any:
        """What enqueues calls of a task with its options.

        Raises:
            InvalidOption: one cannot be.
        """
        options = allowed.chosen(allowed.CALLS, self.options, _options(task))
        if result is not None:
            said = facts.Facts(self.alias, task.queue_name, result.enqueued_at, task.run_after)
            options["headers"] = {**options.get("headers", {}), **said.header()}
            if result.id:
                options["id"] = result.id
        if task.run_after is not None:
            options["eta"] = facts.aware(task.run_after)
        return app.get_task(task.module_path).options(**{**options, "queue": task.queue_name})

    def _tell_first(self, result: TaskResult) -> None:
        """In eager mode a call is enqueued and run in one step: it is told before that."""
        object.__setattr__(result, "id", str(uuid4()))
        task_enqueued.send_robust(sender=type(self), task_result=result)

    def _kept(self, result: TaskResult, handle: AsyncResult[Any]) -> TaskResult:
        """What has become of a call in eager mode. Nothing is waited for: it is in this process."""
        try:
            return result_of(handle.record())
        except ResultMissing:
            return result  # with retention=0 nothing is kept

    # --- results --------------------------------------------------------------------------------------------

    def get_result(self, result_id: str) -> TaskResult:
        """What has become of a call, by the id of its result.

        Raises:
            TaskResultDoesNotExist: nothing is known of it (any more).
        """
        app = get_app()
        try:
            places = self.queues or (None if app.eager else app.inspector.queue_names())
            record = app.result(result_id, queue=places).record()
            if record.info.state is not State.ACTIVE or app.eager:
                return result_of(record)
            owner = app.inspector.task(record.info.queue, result_id).owner
            return result_of(record, worker=owner, started_at=_since(app.inspector.servers(), record))
        except (ResultMissing, InvalidTaskId, TaskNotFound):
            raise TaskResultDoesNotExist(result_id) from None

    async def aget_result(self, result_id: str) -> TaskResult:
        """As `get_result`, from a coroutine, and without a thread."""
        app = get_app()
        try:
            places = self.queues or (None if app.eager else await app.ainspector.queue_names())
            record = await app.result(result_id, queue=places).arecord()
            if record.info.state is not State.ACTIVE or app.eager:
                return result_of(record)
            owner = (await app.ainspector.task(record.info.queue, result_id)).owner
            return result_of(record, worker=owner, started_at=_since(await app.ainspector.servers(), record))
        except (ResultMissing, InvalidTaskId, TaskNotFound):
            raise TaskResultDoesNotExist(result_id) from None

    # --- checks ---------------------------------------------------------------------------------------------

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """What `manage.py check` says of this backend's settings."""
        if not apps.is_installed("taskflow.contrib.django"):
            return [
                Error(
                    f"TASKS[{self.alias!r}] needs the app of taskflow, and it is not installed",
                    hint='INSTALLED_APPS = [..., "taskflow.contrib.django"]',
                    id="taskflow.E101",
                )
            ]
        found: list[CheckMessage] = []
        for queue in sorted(self.queues, key=str):
            try:
                get_app().result("check", queue=queue)
            except ConfigurationError as error:
                found.append(Error(f'TASKS[{self.alias!r}]["QUEUES"]: {error}', id="taskflow.E102"))
        if "retention" in self.options and not self.options["retention"]:
            found.append(
                Warning(
                    f'TASKS[{self.alias!r}]["OPTIONS"]["retention"] is 0: what has succeeded is gone at once, and get_result() '
                    "raises TaskResultDoesNotExist",
                    hint="leave it out: a result is kept for a day",
                    id="taskflow.W101",
                )
            )
        return found


def _options(task: Task) -> dict[str, Any]:
    """The options that a task has of its own: one that was made for another backend has none."""
    return task.options if isinstance(task, TaskFlowTask) else {}


def _since(servers: Iterable[Any], record: TaskRecord) -> datetime | None:
    """Since when a task runs: its worker has said so if it has not begun just now."""
    return next(
        (
            one.started
            for server in servers
            for one in server.running
            if (one.id, one.queue) == (record.info.id, record.info.queue)
        ),
        None,
    )


def _advice(values: Iterable[Any]) -> str:
    """What to say of a row among the arguments."""
    for value in values:
        for one in (
            value.values()
            if isinstance(value, dict)
            else value
            if isinstance(value, list | tuple | set)
            else [value]
        ):
            if isinstance(one, Model):
                return f": a row of {one._meta.label} does not travel; pass its pk, and get it in the task"
    return ""

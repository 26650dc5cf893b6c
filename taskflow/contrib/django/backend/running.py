"""What a worker calls for a task of Django's: its function, with Django's signals before and after."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import iscoroutinefunction
from socket import gethostname
from traceback import format_exception
from typing import Any

from django.dispatch import Signal
from django.tasks import TaskContext, TaskResult, TaskResultStatus
from django.tasks.base import TaskError
from django.tasks.signals import task_finished, task_started
from django.utils import timezone
from django.utils.json import normalize_json

from taskflow import current_task

from . import facts
from .results import UNKNOWN, alias_of, as_enqueued

Returned = dict[str, Any]
"""What the function returned, and how the attempt went: see `facts.Ended`."""


def runner_of(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of the task as taskflow has it. Its arguments travel as Django has them: a list, and by name.

    Args:
        name: the path of the function.
        function: Django's task calls it.
    """
    if iscoroutinefunction(function):

        async def arun(args: list[Any], kwargs: dict[str, Any]) -> Returned:
            attempt = Attempt(name, args, kwargs)
            await attempt.atell(task_started)
            try:
                value = normalize_json(await function(*attempt.args, **kwargs))
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                with traceback_of(error):
                    if attempt.fail(error):
                        await attempt.atell(task_finished)
                raise
            kept = attempt.succeed(value)
            await attempt.atell(task_finished)
            return kept

        return _named(arun, function)

    def run(args: list[Any], kwargs: dict[str, Any]) -> Returned:
        attempt = Attempt(name, args, kwargs)
        attempt.tell(task_started)
        try:
            value = normalize_json(function(*attempt.args, **kwargs))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            with traceback_of(error):
                if attempt.fail(error):
                    attempt.tell(task_finished)
            raise
        kept = attempt.succeed(value)
        attempt.tell(task_finished)
        return kept

    return _named(run, function)


class Attempt:
    """An attempt that runs here, as Django shows it.

    Args:
        name: the path of the function.
        args: its positional arguments.
        kwargs: its arguments by name.
    """

    def __init__(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        current = current_task()
        said = facts.read(current.headers)
        alias, self._sender = alias_of(said)
        task = as_enqueued(name, said, alias, current.queue)
        now = timezone.now()
        self._result = TaskResult(
            task=task,
            id=current.id,
            status=TaskResultStatus.RUNNING,
            enqueued_at=said.enqueued_at if said else None,
            started_at=now,
            finished_at=None,
            last_attempted_at=now,
            args=args,
            kwargs=kwargs,
            backend=alias,
            errors=[],
            worker_ids=[*[UNKNOWN] * current.retried, worker()],
        )
        self.args = [TaskContext(task_result=self._result), *args] if task.takes_context else args

    def succeed(self, value: Any) -> Returned:
        """The function has returned; what is kept of it."""
        now = timezone.now()
        self._set(status=TaskResultStatus.SUCCESSFUL, finished_at=now, _return_value=value)
        return facts.Ended(value, self._result.started_at, now, worker()).kept()

    def fail(self, error: BaseException) -> bool:
        """The function has raised; whether there is no other attempt."""
        kind = type(error)
        path = f"{kind.__module__}.{kind.__qualname__}"
        trace = "".join(format_exception(error))
        self._result.errors.append(TaskError(exception_class_path=path, traceback=trace))
        if not current_task().is_last(error):
            return False
        self._set(status=TaskResultStatus.FAILED, finished_at=timezone.now())
        return True

    # A receiver that raises is a line in Django's log: the task has done its work, or has yet to.

    def tell(self, signal: Signal) -> None:
        """Send one of Django's signals."""
        signal.send_robust(sender=self._sender, task_result=self._result)

    async def atell(self, signal: Signal) -> None:
        """The same on an event loop: receivers that are functions are called in a thread, as Django does it."""
        await signal.asend_robust(sender=self._sender, task_result=self._result)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self._result, name, value)


@contextmanager
def traceback_of(error: BaseException) -> Iterator[None]:
    """Give an exception back its traceback: asgiref raises it again where it calls receivers, and leaves its own lines in it."""
    trace = error.__traceback__
    try:
        yield
    finally:
        error.__traceback__ = trace


def worker() -> str:
    """The process that runs here."""
    return f"{gethostname()}:{os.getpid()}"


def _named(run: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """Have it called as the user's function is: in logs, and where two functions claim one name."""
    run.__module__, run.__name__, run.__qualname__ = (
        function.__module__,
        function.__name__,
        function.__qualname__,
    )
    run.__doc__ = function.__doc__
    return run

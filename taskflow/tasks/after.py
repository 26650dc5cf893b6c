"""The hooks of a task's class that follow the verdict on an attempt: nothing that they do changes it."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import Cancel, Reject, TaskCancelled
from ..message.outcome import Outcome
from ..states import Verb
from .attempt import Attempt
from .hooks import ExceptionInfo

Raised = Callable[[str, str, BaseException], object]
"""Is told which hook of which task raised what."""


def after(attempt: Attempt, error: BaseException | None, outcome: Outcome, raised: Raised) -> None:
    """Call the hooks that follow an attempt, one after the other, whatever any of them raises.

    What ends a task by its own word or an operator's (`Reject`, `Cancel`, a cancel) has none, as in Celery, nor has an attempt
    that was snoozed.

    Args:
        attempt: the attempt.
        error: what it raised; None: it returned.
        outcome: what became of it.
        raised: see `Raised`.
    """
    task, task_id, kwargs = attempt.plan.task, attempt.id, attempt.kwargs
    calls: list[tuple[str, Callable[[], object]]] = []
    if error is None:
        if attempt.returned:
            value = attempt.value
            calls = [
                ("on_success", lambda: task.on_success(value, task_id, (), kwargs)),
                ("after_return", lambda: task.after_return("SUCCESS", value, task_id, (), kwargs, None)),
            ]
    elif not isinstance(error, (Reject, Cancel, TaskCancelled)):
        info = ExceptionInfo(error)
        if outcome.verb == Verb.RETRY:
            calls = [("on_retry", lambda: task.on_retry(error, task_id, (), kwargs, info))]
        elif outcome.verb == Verb.ARCHIVE:
            calls = [
                ("on_failure", lambda: task.on_failure(error, task_id, (), kwargs, info)),
                ("after_return", lambda: task.after_return("FAILURE", error, task_id, (), kwargs, info)),
            ]
    for name, call in calls:
        if name in task._hooks:
            try:
                call()
            except BaseException as broken:  # noqa: BLE001 - it must not end the thread of a task, nor keep it from the others
                raised(task.name, name, broken)

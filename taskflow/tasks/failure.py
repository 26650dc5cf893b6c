"""A task's failure, as whoever waits for it is told: `TaskFailed`, or on request an exception of the type that was raised (pure).

What is stored names a type, and whoever can write to the server may write any name there. So nothing is imported and nothing
unpickled (CVE-2021-23727): the type has to be an exception that this process has imported already, and is made with the text
alone.
"""

from __future__ import annotations

import ast
import sys
from types import ModuleType
from typing import Any, Literal

from ..attempts import FailedAttempt
from ..broker.commands.read import Snapshot
from ..errors import InvalidOption, TaskFailed, TaskVerdict
from ..telemetry.traces import class_names

Propagate = bool | Literal["original"]
"""What `get()` does with a failure."""

_NOT_RAISED = (StopIteration, StopAsyncIteration, TaskVerdict)
"""Exceptions that would mean something to whoever called `get()`: the end of his own generator, or of his own task."""


def failure_of(task_id: str, snapshot: Snapshot) -> TaskFailed:
    """The error for an archived task.

    Args:
        task_id: its id.
        snapshot: what was read of it.
    """
    reason = snapshot.reason
    ended_otherwise = snapshot.error_type if snapshot.error == snapshot.text else ""
    return TaskFailed(
        snapshot.text or "archived without an error",
        task_id=task_id,
        kind=reason.kind if reason else ended_otherwise,
        traceback=reason.traceback if reason else "",
        attempts=snapshot.attempts,
    )


def check_propagate(propagate: Propagate) -> None:
    """Raise InvalidOption unless it is one of these."""
    if propagate not in (True, False, "original"):
        raise InvalidOption('`propagate` takes True, False or "original"')


def settled(failure: TaskFailed, propagate: Propagate) -> TaskFailed:
    """The failure as the value of `get(propagate=False)`; else it is raised.

    Args:
        failure: the failure.
        propagate: "original": as an exception of the type that the task raised, where this process has that.

    Raises:
        TaskFailed: the failure.
        Exception: or the original, of which it is the cause then.
    """
    if propagate is False:
        return failure
    if propagate == "original":
        original = original_of(failure)
        if original is not None:
            raise original from failure
    raise failure


def original_of(failure: TaskFailed) -> Exception | None:
    """An exception of the type that the task failed with; None: this process has no such type, it cannot be made with a text
    alone, or the text would come out as another.

    Args:
        failure: the failure.
    """
    attempt = failure.attempts[-1] if failure.attempts else None
    if attempt is None or attempt.kind != failure.kind:
        return None
    kind = _kind_of(attempt)
    if kind is None:
        return None
    text = attempt.text and failure.text
    try:
        made = kind(*_arguments(kind, text))
        return made if type(made) is kind and str(made) == text else None
    except (Exception, SystemExit, GeneratorExit):  # noqa: BLE001 - a constructor of the user's may want anything else, or end programs
        return None


def _arguments(kind: type[Exception], text: str) -> tuple[Any, ...]:
    if not text:
        return ()
    if kind.__str__ is not KeyError.__str__:
        return (text,)
    # The text of a KeyError is the `repr` of its key.
    key = ast.literal_eval(text[:_LONGEST_KEY])
    return (key,) if isinstance(key, str | int) else ()


_LONGEST_KEY = 500


def _kind_of(attempt: FailedAttempt) -> type[Exception] | None:
    """The type, if it has been imported. No module is asked for an attribute: it may import when it is."""
    found: Any = sys.modules.get(attempt.module)
    if not isinstance(found, ModuleType):
        return None
    names = object.__getattribute__(found, "__dict__")
    for name in attempt.type.split("."):
        found = names.get(name)
        if not isinstance(found, type):
            return None
        names = type.__getattribute__(found, "__dict__")
    if not issubclass(found, Exception) or issubclass(found, _NOT_RAISED):
        return None
    return found if class_names(found) == (attempt.module, attempt.type) else None

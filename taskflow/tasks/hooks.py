"""What a class given as `base=` may do around the attempts at its tasks, by Celery's names."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from typing import Any

NAMES = ("before_start", "on_success", "on_failure", "on_retry", "after_return")


class Hooks:
    """To be overridden in a class of one's own: `class Mine(taskflow.Task)`, then `@app.task(base=Mine)`.

    `before_start` is part of the attempt: what it raises is what the attempt has failed with. The others are called when the
    verdict is on its way: what they raise is a line in the log and changes nothing. Arguments travel by name: `args` is
    empty, and `kwargs` has them all.
    """

    def before_start(self, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Called before the function is."""

    def on_success(self, retval: Any, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """The function has returned this."""

    def on_failure(
        self,
        exc: BaseException,
        task_id: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        einfo: ExceptionInfo,
    ) -> None:
        """The task has failed for good."""

    def on_retry(
        self,
        exc: BaseException,
        task_id: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        einfo: ExceptionInfo,
    ) -> None:
        """The attempt has failed, and there will be another."""

    def after_return(
        self,
        status: str,
        retval: Any,
        task_id: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        einfo: ExceptionInfo | None,
    ) -> None:
        """The task has ended: `status` is "SUCCESS" or "FAILURE", `retval` what it returned, or its exception."""


class ExceptionInfo:
    """What a hook is told of an exception, as Celery's `einfo`.

    Attributes:
        exception: the exception.
        type: its class.
        tb: its traceback.
        traceback: the same as text, without the values of variables. It ends with the exception's text.
    """

    def __init__(self, exception: BaseException) -> None:
        self.exception = exception
        self.type = type(exception)
        self.tb = exception.__traceback__

    @property
    def traceback(self) -> str:
        """The traceback as text."""
        return "".join(traceback.format_exception(self.exception))

    def __str__(self) -> str:
        return self.traceback

    def __repr__(self) -> str:
        return f"<ExceptionInfo: {self.type.__name__}>"

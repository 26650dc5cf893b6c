"""The option `log_lines`: what a task logs by `logging` is kept with it, as if it had said it by `current_task().log(...)`."""

from __future__ import annotations

import logging
import threading

from ..telemetry.logs import OURS
from . import context

_installing = threading.Lock()


class TaskLogHandler(logging.Handler):
    """Gives each task the lines that are logged in it: in its thread or coroutine, and in what carries its context.

    Of tasks without the option, and of what no task logs, nothing is kept; nor is what taskflow itself says in the log.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, if it is of a task that wants that."""
        try:
            task = context.here()
            if task is None or task._attempt is None or record.name.partition(".")[0] == OURS:
                return
            level = task._attempt.log_level
            if level and record.levelno >= level:
                task._attempt.reports.line(self.format(record), record.levelname, record.created)
        except Exception:  # noqa: BLE001 - as every handler: what cannot be formatted costs no task its verdict
            self.handleError(record)


def keep_log_lines() -> None:
    """See that there is such a handler, at the root of all loggers; a second time does nothing.

    For tasks with the option alone: who does without it has no handler that is asked about every record.
    """
    root = logging.getLogger()
    with _installing:
        if not any(isinstance(handler, TaskLogHandler) for handler in root.handlers):
            root.addHandler(TaskLogHandler())

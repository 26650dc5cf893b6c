"""The log of a worker and its children: one line per event, as text or JSON, on standard error.

A line never holds an argument, a result or a password. The facts of an event (`task`, `id`, `queue`,
`seconds`) are in the record's `facts`, so that both formats show the same.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

LEVELS = ("debug", "info", "warning", "error", "critical")
FORMATS = ("text", "json")


class TextFormatter(logging.Formatter):
    """`2026-11-24T06:13:50.123Z INFO worker[411]: Task images:resize[4f…] succeeded in 0.012s`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback, where there is one, below it."""
        line = f"{_time(record)} {record.levelname} {_source(record)}: {record.getMessage()}"
        return line + ("\n" + self.formatException(record.exc_info) if record.exc_info else "")


class JSONFormatter(logging.Formatter):
    """One JSON object per line: ts, level, logger, pid, message, and the event's own facts."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        value: dict[str, Any] = {
            "ts": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            value["traceback"] = self.formatException(record.exc_info)
        return json.dumps(value, ensure_ascii=False, default=str)


def setup(level: str, log_format: str) -> None:
    """Send the log of taskflow, and what tasks log themselves, to standard error.

    Args:
        level: one of `LEVELS`.
        log_format: one of `FORMATS`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING if level == "debug" else level.upper())
    logging.getLogger("taskflow").setLevel(level.upper())


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _source(record: logging.LogRecord) -> str:
    name = record.name.removeprefix("taskflow.")
    return f"{name}[{record.process}]"

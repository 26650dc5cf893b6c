"""The log of a worker and its children: one line per event, as text or JSON, on standard error.

A line never holds an argument, a result or a password, nor the text of an exception: that may quote any of
them. The facts of an event (`task`, `id`, `queue`, `seconds`) are in the record's `facts`, so that both formats
show the same.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from types import TracebackType
from typing import Any

from .escape import printable, printable_json

LEVELS = ("debug", "info", "warning", "error", "critical")
FORMATS = ("text", "json")

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

QUIET = "quiet"
"""An attribute of records whose exception is for whoever else listens (an error tracker, say): a line here names its type and
place already, and shows the traceback only where that was asked for.
"""

OURS = "taskflow"
"""The loggers that are held to this. What tasks log themselves is theirs, and shown as it is."""


class _Formatter(logging.Formatter):
    """What both formats share.

    Args:
        errors: show the texts of exceptions, and the lines of code that raised them.
        traces: show the tracebacks of tasks that failed.
    """

    def __init__(self, *, errors: bool = False, traces: bool = False) -> None:
        super().__init__()
        self._errors = errors
        self._traces = traces or errors

    def traceback(self, record: logging.LogRecord) -> str:
        """The traceback of a record; "" when it has none."""
        if not record.exc_info or record.exc_info[1] is None:
            return ""
        if not self._traces and getattr(record, QUIET, False):
            return ""
        if self._errors or not _is_ours(record):
            return self.formatException(record.exc_info)
        return "\n".join(_places(record.exc_info[1]))


class TextFormatter(_Formatter):
    """`2026-11-24T06:13:50.123Z INFO worker[411]: Task images:resize[4f…] succeeded in 0.012s`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback, where there is one, below it."""
        line = f"{_time(record)} {record.levelname} {_source(record)}: {_message(record)}"
        trace = self.traceback(record)
        return f"{line}\n{trace}" if trace else line


class JSONFormatter(_Formatter):
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
        trace = self.traceback(record)
        if trace:
            value["traceback"] = trace
        return printable_json(json.dumps(value, ensure_ascii=False, default=str))


def setup(level: str, log_format: str, *, errors: bool = False) -> None:
    """Send the log of taskflow, and what tasks log themselves, to standard error.

    Args:
        level: one of `LEVELS`.
        log_format: one of `FORMATS`.
        errors: show the texts of exceptions too, which may hold arguments and secrets.
    """
    handler = logging.StreamHandler(sys.stderr)
    kind = JSONFormatter if log_format == "json" else TextFormatter
    handler.setFormatter(kind(errors=errors, traces=level == "debug"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING if level == "debug" else level.upper())
    logging.getLogger(OURS).setLevel(level.upper())


def place(error: BaseException, prefer: str = "") -> str:
    """Where an exception came from.

    Args:
        error: the exception.
        prefer: a file: its last line that the exception passed through, if there is one; else where it was
            raised.

    Returns:
        `file:line`, or "" for one that was never raised.
    """
    frames = list(_frames(traceback_of(error)))
    own = [(file, line) for file, line, _ in frames if file == prefer]
    places = own or [(file, line) for file, line, _ in frames]
    return f"{places[-1][0]}:{places[-1][1]}" if places else ""


def traceback_of(error: BaseException) -> TracebackType | None:
    """The exception's traceback, whatever its class makes of that attribute."""
    return _TRACEBACK.__get__(error)  # type: ignore[no-any-return]


_TRACEBACK: Any = vars(BaseException)["__traceback__"]


def _places(error: BaseException | None) -> Iterator[str]:
    """A traceback with files, lines, functions and types only, and with what led to it."""
    seen: set[int] = set()
    words = ""
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if words:
            yield words
        for file, line, function in _frames(traceback_of(error)):
            yield f'  File "{file}", line {line}, in {function}'
        yield type(error).__qualname__
        if error.__cause__ is not None:
            error, words = error.__cause__, "caused by"
        else:
            error, words = (
                None if error.__suppress_context__ else error.__context__,
                "while this was being handled",
            )


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, int, str]]:
    while trace is not None:
        code = trace.tb_frame.f_code
        yield code.co_filename, trace.tb_lineno, code.co_qualname
        trace = trace.tb_next


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name == OURS or record.name.startswith(OURS + ".")


def _message(record: logging.LogRecord) -> str:
    """The message. Names and ids in ours are foreign text: none of them begins a line of its own, or moves a
    cursor.
    """
    if isinstance(record.args, tuple) and _is_ours(record):
        words = tuple(map(_word, record.args))
        return str(record.msg) % words if words else str(record.msg)
    return record.getMessage()


def _word(value: object) -> object:
    """A value for a line; an exception's text may quote a name, too."""
    return printable(str(value)) if isinstance(value, str | BaseException) else value


def _time(record: logging.LogRecord) -> str:
    second = int(record.created)
    return f"{_clock(second)}.{int((record.created - second) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _clock(second: int) -> str:
    """Made once for all lines of a second: under load there are thousands."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _source(record: logging.LogRecord) -> str:
    name = record.name.removeprefix("taskflow.")
    return f"{name}[{record.process}]"

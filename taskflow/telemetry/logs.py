"""The log of a worker and its children: one line per event, as text or JSON, on standard error.

A line never holds an argument, a result or a password, nor the text of an exception: that may quote any of
them. The facts of an event (`task`, `id`, `queue`, `retried`, `seconds`) are attributes of the record, as `extra=` gives them, so
that JSON lines and the app's own handlers have them, too.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from .escape import cut, printable, printable_json
from .traces import places

LEVELS = ("debug", "info", "warning", "error", "critical")
FORMATS = ("text", "json")

QUIET = "quiet"
"""An attribute of records whose exception is for whoever else listens (an error tracker, say): a line here names its type and
place already, and shows the traceback only where that was asked for.
"""

LONGEST_WORD = 1000
"""Characters of a name or another word in a line."""

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
        return "\n".join(places(record.exc_info[1]))


class TextFormatter(_Formatter):
    """`2026-11-24T06:13:50.123Z INFO worker[411]: Task images:resize[4f…] succeeded in 0.012s`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback, where there is one, below it."""
        line = f"{_time(record)} {record.levelname} {_source(record)}: {_message(record)}"
        trace = self.traceback(record)
        return f"{line}\n{trace}" if trace else line


class JSONFormatter(_Formatter):
    """One JSON object per line: ts, level, logger, pid, message, and what the line was given as `extra=`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        value: dict[str, Any] = {
            "ts": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": _message(record, _cut) if (ours := _is_ours(record)) else record.getMessage(),
        }
        for name, fact in vars(record).items():
            if name not in _USUAL:
                value.setdefault(name, _plain(_cut(fact) if ours else fact))
        trace = self.traceback(record)
        if trace:
            value["traceback"] = trace
        return printable_json(json.dumps(value, ensure_ascii=False, default=str))


_USUAL = vars(logging.makeLogRecord({})).keys() | {"message", "asctime", "taskName", QUIET}
"""The attributes of every record; any other was given to the line."""


def _plain(value: object) -> Any:
    """A value that a line was given as JSON has it; else its text."""
    if value is None or isinstance(value, str | int):
        return value
    try:
        return json.loads(json.dumps(value, allow_nan=False, default=str))
    except Exception:  # noqa: BLE001 - a line is not lost for a value that cannot be written
        try:
            return str(value)
        except Exception:  # noqa: BLE001
            return f"<{type(value).__name__}>"


def setup(level: str, log_format: str, *, errors: bool = False) -> None:
    """Send the log of taskflow, and what tasks log themselves, to standard error.

    Args:
        level: one of `LEVELS`.
        log_format: one of `FORMATS`.
        errors: show the texts of exceptions too, which may hold arguments and secrets.
    """
    handler = logging.StreamHandler(sys.stderr)
    _HANDLERS[:] = [handler]
    kind = JSONFormatter if log_format == "json" else TextFormatter
    handler.setFormatter(kind(errors=errors, traces=level == "debug"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # With "debug", what others say at that level (drivers, asyncio) would bury the rest: see `also_debug`.
    root.setLevel(logging.INFO if level == "debug" else level.upper())
    logging.getLogger(OURS).setLevel(level.upper())


_HANDLERS: list[logging.Handler] = []
"""What `setup` has made."""


def also_debug(modules: Iterable[str]) -> None:
    """With the level "debug", the loggers of these packages say everything, too, unless they have a level of their own.

    Args:
        modules: names of modules; of each, its top package counts.
    """
    if logging.getLogger(OURS).getEffectiveLevel() > logging.DEBUG:
        return
    for name in {module.partition(".")[0] for module in modules}:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.DEBUG)


def restore() -> None:
    """Undo what an app's own `dictConfig` does to our log, mostly without meaning to: it switches off every logger that it does
    not name, and takes the handlers of the root logger away. Where it has handlers of its own, our lines go there.
    """
    for name, logger in logging.Logger.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and (name == OURS or name.startswith(OURS + ".")):
            logger.disabled = False
    if not logging.getLogger(OURS).hasHandlers():
        logging.getLogger().handlers += _HANDLERS


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name == OURS or record.name.startswith(OURS + ".")


def _message(record: logging.LogRecord, shown: Callable[[object], object] | None = None) -> str:
    """The message. Names and ids in ours are foreign text: none of them begins a line of its own, or moves a
    cursor.
    """
    if isinstance(record.args, tuple) and _is_ours(record):
        words = tuple(map(shown or _word, record.args))
        return str(record.msg) % words if words else str(record.msg)
    return record.getMessage()


def _word(value: object) -> object:
    """A value for a line; an exception's text may quote a name, too."""
    return printable(str(_cut(value))) if isinstance(value, str | BaseException) else value


def _cut(value: object) -> object:
    """Names that others have stored may be a megabyte long."""
    if isinstance(value, BaseException):
        value = str(value)
    return cut(value, LONGEST_WORD) if isinstance(value, str) else value


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

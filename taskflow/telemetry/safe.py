"""A logger for places where a line must never cost more than itself."""

from __future__ import annotations

import logging
from typing import Any


class SafeLogger:
    """Logs as `logging.getLogger(name)` does, and drops a line that cannot be logged.

    A child's log goes through handlers, filters and record factories of the app's own. One that raises would end the
    thread that has just finished a task, before its verdict is sent; and a `dictConfig` of the app's switches off every
    logger that it does not name, unless it says otherwise. Neither may silence the worker.

    Args:
        name: the logger's.
    """

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def enabled(self, level: int) -> bool:
        """Whether a line of this level would be written."""
        logger = self._logger
        if logger.disabled:
            logger.disabled = False
        return logger.isEnabledFor(level)

    def log(self, level: int, text: str, *values: object, **more: Any) -> None:
        """Write a line, as `logging.Logger.log`."""
        if not self.enabled(level):
            return
        try:
            self._logger.log(level, text, *values, stacklevel=2, **more)
        except KeyError as error:
            # A record factory of the app's has an attribute of this name itself: the line does without ours.
            if more.pop("extra", None) is not None and "overwrite" in str(error):
                self.log(level, text, *values, **more)
        except BaseException:  # noqa: BLE001 - a handler of the user's may raise SystemExit, too: then there is no line
            pass

    def debug(self, text: str, *values: object, **more: Any) -> None:
        """As `logging.Logger.debug`."""
        self.log(logging.DEBUG, text, *values, **more)

    def info(self, text: str, *values: object, **more: Any) -> None:
        """As `logging.Logger.info`."""
        self.log(logging.INFO, text, *values, **more)

    def warning(self, text: str, *values: object, **more: Any) -> None:
        """As `logging.Logger.warning`."""
        self.log(logging.WARNING, text, *values, **more)

    def error(self, text: str, *values: object, **more: Any) -> None:
        """As `logging.Logger.error`."""
        self.log(logging.ERROR, text, *values, **more)

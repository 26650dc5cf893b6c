"""The log as a listener: which events have lines, and while which level is shown. Nobody else writes a task's line."""

from __future__ import annotations

import logging
from collections.abc import Callable

from . import events, task_lines, worker_lines
from .events import Event
from .saying import task

FREQUENT = (events.Received, events.Succeeded)
"""What is told of every task. At a level that shows neither, none of them is made."""

_LINES = {**task_lines.LINES, **worker_lines.LINES}


class Lines:
    """Writes the lines of this process from `begin` on."""

    def __init__(self) -> None:
        self._shows_all: Callable[[], None] | None = None
        self._begun = False

    def begin(self) -> None:
        """Listen. A second time does nothing: with `-P solo` worker and child are one process."""
        if not self._begun:
            self._begun = True
            events.attach(_write, [kind for kind in _LINES if kind not in FREQUENT])
        self.follow()

    def follow(self) -> None:
        """Look which level the log has now: the app may change it at any time. Called once for each batch of tasks."""
        shown = task.enabled(logging.INFO)
        if shown and self._shows_all is None:
            self._shows_all = events.attach(_write, FREQUENT)
        elif not shown and self._shows_all is not None:
            self._shows_all()
            self._shows_all = None


lines = Lines()


def _write(event: Event) -> None:
    _LINES[type(event)](event)

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
        self._shows: Callable[[], None] | None = None
        self._users = 0

    def begin(self) -> None:
        """Listen, once for all who have begun: with `-P solo` worker and child are one process."""
        self._users += 1
        if self._shows is None:
            self._shows = events.attach(_write, [kind for kind in _LINES if kind not in FREQUENT])
        self.follow()

    def end(self) -> None:
        """One of those who have begun has ended; after the last nobody listens. A process that is a worker's never says so."""
        self._users -= 1
        if self._users or self._shows is None:
            return
        self._shows()
        self._shows = None
        if self._shows_all is not None:
            self._shows_all()
            self._shows_all = None

    def follow(self) -> None:
        """Look which level the log has now: the app may change it at any time. Called once for each batch of tasks."""
        shown = self._users > 0 and task.enabled(logging.INFO)
        if shown and self._shows_all is None:
            self._shows_all = events.attach(_write, FREQUENT)
        elif not shown and self._shows_all is not None:
            self._shows_all()
            self._shows_all = None


lines = Lines()


def _write(event: Event) -> None:
    _LINES[type(event)](event)

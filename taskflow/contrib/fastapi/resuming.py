"""What a client has seen before it came back: the id of an event, and which lines are news after it (pure)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from taskflow import LogLine, LogLines

ENDED = "end"
"""The id of the verdict. A client that names it has nothing to come back for."""

_MARK = re.compile(r"(\d{1,15})\.(\d{1,15})\.(\d{1,15})")


class Seen:
    """The last line that a client has seen.

    A line is told from others by its attempt, its number and its millisecond: after the loss of a worker there may be a second
    attempt of the same number.

    Args:
        last_event_id: what the client says; whatever is no id of a line is taken for nothing.
    """

    def __init__(self, last_event_id: str) -> None:
        mark = _MARK.fullmatch(last_event_id)
        self._mark: tuple[int, ...] | None = tuple(map(int, mark.groups())) if mark else None
        self._again = mark is not None

    def note(self, line: LogLine) -> str:
        """A line is sent; its id."""
        self._mark = _mark(line)
        return ".".join(map(str, self._mark))

    def again(self) -> None:
        """The watch begins anew, so what is kept comes again."""
        self._again = self._mark is not None

    def new(self, lines: LogLines) -> tuple[Sequence[LogLine], int]:
        """The lines that the client has not seen, and how many before them nobody can show it.

        What comes first after a new beginning are all lines that are kept.
        """
        if not self._again or self._mark is None:
            return lines.lines, lines.missed
        self._again = False
        marks = [_mark(line) for line in lines.lines]
        if self._mark in marks:
            return lines.lines[marks.index(self._mark) + 1 :], 0
        later = [line for line, mark in zip(lines.lines, marks, strict=True) if mark[2] > self._mark[2]]
        return later, lines.missed


def _mark(line: LogLine) -> tuple[int, int, int]:
    return line.attempt, line.number, round(line.at.timestamp() * 1000)

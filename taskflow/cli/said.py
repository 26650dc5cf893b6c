"""What tasks say of themselves, in words: for `taskflow task inspect` and `taskflow task watch` (pure)."""

from __future__ import annotations

from collections.abc import Iterator

from ..inspector import TaskInfo
from ..message.report import LogLine, Progress
from .output import clean, since


def said_fields(found: TaskInfo) -> list[tuple[str, str]]:
    """What a task has said of itself, as names and values."""
    said = found.said
    if said is None or said.at is None:
        return []
    return [
        ("Progress", progress_text(said.progress) if said.progress else ""),
        ("Last heard of", since(said.at)),
    ]


def said_lines(found: TaskInfo) -> Iterator[str]:
    """The lines of a task, to be printed below what else is known of it."""
    if found.said is None or not found.said.lines:
        return
    yield ""
    yield "Lines (the newest is the last)"
    yield ""
    yield from (f"  {line_text(line)}" for line in found.said.lines)


def progress_text(progress: Progress) -> str:
    """How far a task is.

    Example:
        >>> from datetime import UTC, datetime
        >>> progress_text(Progress(3, 4, "of the rows", datetime.now(UTC), 1))
        '3/4 (75 %), of the rows'
    """
    text = counted(progress)
    if progress.fraction is not None:
        text += f" ({progress.fraction:.0%})".replace("%", " %")
    return ", ".join(filter(None, (text, progress.note)))


def counted(progress: Progress) -> str:
    """What is done, of how much."""
    return (
        _short(progress.done)
        if progress.total is None
        else f"{_short(progress.done)}/{_short(progress.total)}"
    )


def line_text(line: LogLine) -> str:
    """A line, with its time and, of what came through `logging`, its level."""
    return clean(" ".join(filter(None, (f"{line.at:%H:%M:%S}", line.level, line.text))))


def _short(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:,.6g}"

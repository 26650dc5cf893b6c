"""What a running task says of itself: its progress, and lines. How that is stored, and what readers see of it (pure).

A task's progress is one JSON array, of which the latest counts; its lines are chunks of some lines each, since each would cost a
field of its own in the task's hash. Notes and lines are sealed where the app has encryption keys, numbers are not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Any

import msgspec

MOST_LINES = 500
MOST_LINE_BYTES = 64 << 10
"""Lines that are kept of a task, and bytes of all of them together: the latest."""

CHUNK_LINES = 50
CHUNK_BYTES = 8 << 10
"""Lines of one chunk, and about so many bytes: what is kept of a task shrinks by a chunk at a time."""

LONGEST_LINE = 2000
LONGEST_NOTE = 200
"""Characters; what is longer is cut."""

Seal = Callable[[str], str]
"""Closes a text with the app's keys, or leaves it as it is; or opens it."""


class Chunk(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Some lines of one attempt, which are kept and dropped together.

    Args:
        count: how many.
        text: the lines, as `encode_lines` writes them.
    """

    count: int
    text: str


class Report(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What an attempt has said since its last report.

    Args:
        number: the job's number in its child.
        seq: counts the reports of the attempt from 1, so that one that is written twice counts once.
        progress: the latest, as `encode_progress` writes it; empty: it is where it was.
        chunks: its lines since then.
    """

    number: int
    seq: int
    progress: str = ""
    chunks: tuple[Chunk, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a task is, as it has said itself.

    Args:
        done: what is done, in whatever unit the task counts.
        total: of how much; None: it does not know.
        note: what it said with it.
        at: when it said so (UTC, by the clock of its machine).
        attempt: in which attempt, from 1.
    """

    done: float
    total: float | None
    note: str
    at: datetime
    attempt: int

    @property
    def fraction(self) -> float | None:
        """What is done of the whole, from 0 to 1; None where the whole is not known.

        Example:
            >>> Progress(3, 4, "", datetime.now(UTC), 1).fraction
            0.75
        """
        if self.total is None:
            return None
        return min(max(self.done / self.total, 0.0), 1.0) if self.total > 0 else 1.0


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a task has said.

    Args:
        number: counts the lines of its attempt from 1.
        text: the line.
        level: of what came through `logging`, as "WARNING"; empty for `current_task().log(...)`.
        at: when (UTC, by the clock of its machine).
        attempt: in which attempt, from 1.
    """

    number: int
    text: str
    level: str
    at: datetime
    attempt: int


Line = tuple[float, str, str]
"""Unix seconds, level, text."""


def cut(text: str, most: int) -> str:
    """A text that is no longer than that, and can be stored."""
    text = text if len(text) <= most else text[: most - 1] + "…"
    return text.encode("utf-8", "backslashreplace").decode()


def encode_progress(
    done: float, total: float | None, note: str, at: float, attempt: int, seal: Seal | None
) -> str:
    """How far an attempt is, as it is stored."""
    return json.dumps([done, total, seal(note) if seal and note else note, round(at, 3), attempt])


def encode_lines(
    lines: Sequence[Line], first: int, attempt: int, run: int, seal: Seal | None
) -> tuple[Chunk, ...]:
    """Lines of an attempt as chunks.

    Args:
        lines: one after the other.
        first: the number of the first.
        attempt: which attempt, from 1.
        run: tells the attempt from others of the same number, as after the loss of a worker.
        seal: with the app's keys.
    """
    chunks = []
    for batch in _batches(lines):
        text = json.dumps([run, attempt, first, batch], ensure_ascii=False)
        chunks.append(Chunk(len(batch), seal(text) if seal else text))
        first += len(batch)
    return tuple(chunks)


def _batches(lines: Iterable[Line]) -> Iterable[list[Line]]:
    batch: list[Line] = []
    size = 0
    for line in lines:
        if batch and (len(batch) >= CHUNK_LINES or size + len(line[2]) > CHUNK_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line[2])
    if batch:
        yield batch


def decode_progress(text: str, unseal: Seal) -> Progress | None:
    """What is stored as the progress of a task; None for none, and for what nobody of ours has written."""
    try:
        done, total, note, at, attempt = json.loads(text)
        return Progress(
            _number(done),
            None if total is None else _number(total),
            unseal(str(note)) if note else "",
            _moment(at),
            int(attempt),
        )
    except (ValueError, TypeError, RecursionError, OverflowError, OSError):
        return None


def decode_lines(text: str, unseal: Seal) -> tuple[int, list[LogLine]]:
    """The run that a chunk is of, and its lines; none for what nobody of ours has written."""
    try:
        run, attempt, first, lines = json.loads(unseal(text))
        return int(run), [
            LogLine(int(first) + index, str(said), str(level), _moment(at), int(attempt))
            for index, (at, level, said) in enumerate(lines)
        ]
    except (ValueError, TypeError, RecursionError, OverflowError, OSError):
        return 0, []


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("no number")
    if not isfinite(value):  # raises OverflowError of what is larger than any float
        raise ValueError("no number")
    return value


def _moment(unix_seconds: Any) -> datetime:
    return datetime.fromtimestamp(float(unix_seconds), UTC)

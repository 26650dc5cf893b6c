"""Attempts that failed, as they are kept with their task: the field `attempts` of its hash (pure).

The field is a line of JSON for each, the oldest first: text that any program reads, and whose lines a script counts without
understanding them. Attempts in a row that failed in the same place have their traceback once, in the last of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

MOST_ATTEMPTS = 10
"""So many are kept of a task: the latest."""

MOST_BYTES = 8192
"""Of one of them."""

MOST_TEXT = 1500
"""Characters of an exception's text in an attempt. The task's message has more of it."""

_LEFT_OUT = "\n  … some lines left out …\n"


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An attempt at a task that failed.

    Args:
        at: when it began (UTC); of what was never run, when that was decided. None: it is not known.
        seconds: how long it ran; None: it was never run, or nobody knows.
        worker: which worker had it: host, process id, and an id of that start.
        kind: the name of the exception's type, or a word for what stands in its place (`Expired`, `ProcessDied`).
        type: the same with the classes that it is defined in (`Outer.Inner`).
        module: the module that the type is defined in; "" where nothing was raised.
        text: the exception's text; "" where it has none, or the app keeps none (`error_text=False`).
        traceback: as Python prints it, from the task's function on; "" where there is none.
    """

    at: datetime | None
    seconds: float | None
    worker: str
    type: str
    module: str
    text: str
    traceback: str

    @property
    def kind(self) -> str:
        """The name of the exception's type."""
        return self.type.rpartition(".")[2]

    @property
    def ended_at(self) -> datetime | None:
        """When it ended, as far as that is known."""
        try:
            return (
                datetime.fromtimestamp(self.at.timestamp() + (self.seconds or 0.0), UTC) if self.at else None
            )
        except (ValueError, OverflowError, OSError):
            return self.at


def shorten(text: str, most: int) -> str:
    """A text of many lines with its first and, three times as much of them, its last characters.

    Args:
        text: the text.
        most: how many characters may remain.

    Example:
        >>> shorten("short", 100)
        'short'
    """
    if len(text) <= most:
        return text
    room = max(most - len(_LEFT_OUT), 0)
    first, last = text[: room // 4], text[len(text) - (room - room // 4) :]
    # At ends of lines, where there are any near.
    first = first.rpartition("\n")[0] or first
    last = last.partition("\n")[2] or last
    return f"{first}{_LEFT_OUT}{last}"


def attempt_line(
    at: float, seconds: float | None, worker: str, type_: str, module: str, text: str, traceback: str
) -> tuple[str, str]:
    """An attempt as it is stored: a line of JSON in two parts, of which the second has the traceback. They are equal for attempts
    that failed in the same place, and then one is kept.

    Args:
        at: when it began, in Unix seconds.
        seconds: how long it ran; None: it did not.
        worker: whose it was.
        type_: see `FailedAttempt.type`.
        module: see there, as for the others.
        text: of the exception.
        traceback: likewise.
    """
    text, worker = shorten(text, MOST_TEXT), worker[:300]
    while True:
        facts: dict[str, Any] = {
            "at": round(at, 6),
            "seconds": None if seconds is None else round(seconds, 6),
            "worker": worker,
            "type": type_[:300],
            "module": module[:300],
            "text": text,
        }
        start = _encode(facts).decode()[:-1]
        rest = f',"traceback":{_encode(traceback).decode()}}}' if traceback else "}"
        over = _size(start) + _size(rest) + 1 - MOST_BYTES
        if over <= 0:
            return start, rest
        # Of what is not ASCII, or is escaped, a character is several bytes.
        if len(traceback) > 1000:
            traceback = shorten(traceback, max(len(traceback) - over, len(traceback) // 2))
        else:
            text, traceback = shorten(text, len(text) // 2), ""


_encode = msgspec.json.Encoder().encode


def _size(text: str) -> int:
    return len(text.encode())


class _Stored(msgspec.Struct):
    """A line as it is read. Somebody else may have written it: what is missing is empty."""

    at: float | None = None
    seconds: float | None = None
    worker: str = ""
    type: str = ""
    module: str = ""
    text: str = ""
    traceback: str = ""
    as_next: bool = False


_decode = msgspec.json.Decoder(_Stored).decode


def read_attempts(stored: bytes | None) -> tuple[FailedAttempt, ...]:
    """The attempts in the field `attempts` of a task's hash, the oldest first. What is no such line is left out.

    Args:
        stored: the field; None: it is not there.
    """
    found: list[FailedAttempt] = []
    traceback = ""
    for line in reversed((stored or b"").split(b"\n")):
        try:
            one = _decode(line.decode("utf-8", "replace"))
        except (msgspec.MsgspecError, RecursionError):
            continue
        traceback = traceback if one.as_next else one.traceback
        at = _moment(one.at)
        found.append(FailedAttempt(at, one.seconds, one.worker, one.type, one.module, one.text, traceback))
    return tuple(reversed(found))


def reason_of(attempts: Iterable[FailedAttempt], last_failed_at: int, text: str) -> FailedAttempt | None:
    """The attempt that a task's last error is of; None: it is of something else. That is a failure in Go, which keeps none, or an
    order that has ended the task, as a cancel.

    Args:
        attempts: those that are kept.
        last_failed_at: what the task's message says of when it failed, in Unix seconds; 0: it did not.
        text: its last error.
    """
    last = next(reversed(tuple(attempts)), None)
    if last is None or _begins(last.text or last.kind) != _begins(text):
        return None
    if last.ended_at is None:
        return last
    # Whoever writes both asks one clock once, and the message has the second in which that was.
    return last if last.ended_at.timestamp() >= last_failed_at - _ROUNDED else None


def _begins(text: str) -> str:
    """What stays of a text however much it is shortened."""
    return text.partition("\n")[0][:100]


_ROUNDED = 0.001
"""Seconds."""


def _moment(unix_seconds: float | None) -> datetime | None:
    try:
        return None if unix_seconds is None else datetime.fromtimestamp(unix_seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None

"""The traceback of a failure as it is kept with its task: text as Python prints it, without locals, and of a bounded length.

Not by the standard library's `traceback`: for its hints it looks into objects and their attributes, so it runs code of the user's
before the verdict is sent; it parses the source of each line for its carets, which costs more than most tasks; and of a recursion
it reads all frames. Here nothing of the user's runs but `str()` of an exception, and only where texts are kept.
"""

from __future__ import annotations

import linecache
import os
from collections.abc import Iterator
from typing import Any

from .traces import _CAUSE, _CONTEXT, _PACKAGE, _PARTS, _SUPPRESS, _frames, names_of, traceback_of

FIRST_FRAMES, LAST_FRAMES = 8, 24
"""Of one exception: those between them are counted."""

MOST_LINKS = 6
"""Exceptions that led to one: the nearest."""

MOST_PARTS = 8
"""Of a group."""

MOST_DEPTH = 4
"""Groups within groups."""

MOST_SHOWN = 30
"""Exceptions in all."""

MOST_SAID = 500
"""Characters of each exception's text. The task's error has more of it."""

_MACHINERY = tuple(os.path.join(_PACKAGE, folder) + os.sep for folder in ("tasks", "runner", "contrib"))
"""What calls a task's function."""

_OWN = _PACKAGE + os.sep

_ERRORS = f"{__package__.partition('.')[0]}.errors"
"""Where taskflow's own exceptions are."""

_Frame = tuple[str, int, str]

_BY = "\nThe above exception was the direct cause of the following exception:\n"
_DURING = "\nDuring handling of the above exception, another exception occurred:\n"


def traceback_text(error: BaseException, *, whole: bool = True) -> str:
    """An exception with what led to it, from the task's function on; "" where there is nothing to show but its type and text.

    Args:
        error: the exception.
        whole: with the texts of exceptions, and with lines of source, which may quote them. If not: types and places only.
    """
    cause, context = _CAUSE.__get__(error), _CONTEXT.__get__(error)
    linked = cause is not None or (context is not None and not _SUPPRESS.__get__(error))
    if not linked and not _is_group(error) and not _users_frames(error):
        return ""
    return "\n".join(_chain(error, whole, set(), 0))


def _chain(error: BaseException, whole: bool, seen: set[int], depth: int) -> Iterator[str]:
    """The lines of an exception, after those of what led to it."""
    links: list[tuple[BaseException, str]] = []
    one: BaseException | None = error
    words = ""
    while one is not None and id(one) not in seen and len(links) <= MOST_LINKS:
        seen.add(id(one))
        links.append((one, words))
        cause, context = _CAUSE.__get__(one), _CONTEXT.__get__(one)
        hidden = cause is None and _SUPPRESS.__get__(one)
        one, words = (cause, _BY) if cause is not None else (None if hidden else context, _DURING)
    for one, words in reversed(links):
        yield from _one(one, whole, seen, depth)
        if words:
            yield words


def _one(error: BaseException, whole: bool, seen: set[int], depth: int) -> Iterator[str]:
    frames = _users_frames(error)
    if frames:
        yield "Traceback (most recent call last):"
        yield from _lines(frames, whole)
    module, type_ = names_of(error)
    name = type_ if module in ("builtins", "__main__") else f"{module}.{type_}"
    said = _said(error) if whole else ""
    yield f"{name}: {said}" if said else name
    if whole:
        yield from _notes(error)
    if _is_group(error):
        parts = _PARTS.__get__(error)
        for number, part in enumerate(parts, 1):
            if number > MOST_PARTS or depth >= MOST_DEPTH or len(seen) >= MOST_SHOWN:
                yield f"  +---- {len(parts) - number + 1} more of {len(parts)} left out"
                break
            yield f"  +---- {number} of {len(parts)}"
            for lines in _chain(part, whole, seen, depth + 1):
                yield from (f"  | {line}" for line in lines.split("\n"))


def _users_frames(error: BaseException) -> list[_Frame]:
    """The frames that it passed through, without those of taskflow's that called the task, and without those in which taskflow
    made an exception of its own: a cancel, say, that interrupts the task's line."""
    frames = list(_frames(traceback_of(error)))
    first = 0
    while first < len(frames) and frames[first][0].startswith(_MACHINERY):
        first += 1
    last = len(frames)
    if names_of(error)[0] == _ERRORS:
        while last > first and frames[last - 1][0].startswith(_OWN):
            last -= 1
    return frames[first:last]


def _lines(frames: list[_Frame], whole: bool) -> Iterator[str]:
    runs: list[tuple[_Frame, int]] = []
    for frame in frames:
        if runs and runs[-1][0] == frame:
            runs[-1] = frame, runs[-1][1] + 1
        else:
            runs.append((frame, 1))
    left_out = len(runs) - FIRST_FRAMES - LAST_FRAMES
    for index, (frame, count) in enumerate(runs):
        if left_out > 0 and FIRST_FRAMES <= index < FIRST_FRAMES + left_out:
            if index == FIRST_FRAMES:
                yield f"  … {sum(count for _, count in runs[index : index + left_out])} frames left out …"
            continue
        file, line, function = frame
        yield f'  File "{file}", line {line}, in {function}'
        if whole and (source := _source(file, line)):
            yield f"    {source}"
        if count > 1:
            yield f"  [Previous frame repeated {count - 1} more times]"


def _source(file: str, line: int) -> str:
    try:
        return linecache.getline(file, line).strip()[:200]
    except Exception:  # noqa: BLE001 - an importer of the user's may be asked for it
        return ""


def _is_group(error: BaseException) -> bool:
    return issubclass(type(error), BaseExceptionGroup)


def _said(error: BaseException) -> str:
    try:
        return str(str.strip(str(error)))[:MOST_SAID]
    except BaseException:  # noqa: BLE001 - the user's __str__ may do anything; the attempt still needs its verdict
        return ""


def _notes(error: BaseException) -> Iterator[str]:
    """What was added by `add_note`."""
    try:
        notes: Any = object.__getattribute__(error, "__dict__").get("__notes__")
    except BaseException:  # noqa: BLE001 - a class of the user's may make anything of that
        return
    if type(notes) is list:
        yield from (str.__str__(note)[:MOST_SAID] for note in notes[:MOST_PARTS] if isinstance(note, str))

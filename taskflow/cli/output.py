"""How commands print: tables on a terminal, aligned text in a pipe, JSON on request.

What comes from queues (names, ids, errors, payloads) is foreign text: control characters are escaped, so that
nothing stored can move the cursor or hide a line.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from unicodedata import east_asian_width

import click

from ..telemetry.escape import printable, printable_json

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
"""The option that every command has which shows something."""


_WRAPPED = 40
"""A column whose cells are longer than this is broken into lines; an id (36) is not."""


def print_json(value: Any) -> None:
    """Print a value as JSON; what is not ASCII or cannot be seen stands as escapes."""
    click.echo(printable_json(json.dumps(value, indent=2)))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str = "") -> None:
    """Print a table, or the line `empty` when it has no rows.

    A line break in a cell is one on a terminal, and `; ` in a pipe, where a row is a line.
    """
    if not rows and empty:
        click.echo(clean(empty))
    elif sys.stdout.isatty() and _fits(columns, rows):
        _print_rich(columns, rows)
    else:
        _print_plain([columns, *([clean(cell, line_break="; ") for cell in row] for row in rows)])


def print_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one pair a line; a pair without a value is left out."""
    shown = [(clean(name), value) for name, value in fields if value != ""]
    width = max((_width(name) for name, _ in shown), default=0)
    for name, value in shown:
        label = click.style(f"{name}:", bold=True) + " " * (width - _width(name))
        click.echo(f"{label} {clean(value)}")


def print_title(text: str) -> None:
    """Print a heading."""
    click.secho(text, bold=True)


def clean(text: str, *, line_break: str = "\\n") -> str:
    """Foreign text as it may be printed, on one line: `telemetry.escape` says what is escaped.

    Example:
        >>> clean("a\\x1b[2Jb")
        'a\\\\x1b[2Jb'
    """
    return printable(text.replace("\n", line_break))


def number(value: int) -> str:
    """A count."""
    return f"{value:,}"


def tasks_are(count: int) -> str:
    """The start of a sentence about some tasks.

    Example:
        >>> tasks_are(1), tasks_are(2)
        ('1 task is', '2 tasks are')
    """
    return "1 task is" if count == 1 else f"{number(count)} tasks are"


def span(length: timedelta) -> str:
    """A length of time in its two largest units.

    Example:
        >>> span(timedelta(hours=1, minutes=2, seconds=3))
        '1h2m'
    """
    seconds = int(length.total_seconds())
    if seconds < 1:
        milliseconds = int(length.total_seconds() * 1000)
        return f"{milliseconds}ms" if milliseconds > 0 else "0s"
    parts: list[str] = []
    for name, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append(f"{count}{name}")
    return "".join(part for part in parts[:2] if part[0] != "0")


def span_of(seconds: int) -> str:
    """A number of seconds as a length of time; nothing for none."""
    return span(timedelta(seconds=seconds)) if 0 < seconds < 1e9 else f"{seconds} s" if seconds else ""


def until(moment: datetime | None) -> str:
    """How long it is until a moment."""
    if moment is None:
        return ""
    left = moment - datetime.now(UTC)
    return f"in {span(left)}" if left >= timedelta(seconds=1) else "now"


def since(moment: datetime | None) -> str:
    """How long ago a moment was."""
    if moment is None:
        return ""
    return f"{span(max(datetime.now(UTC) - moment, timedelta()))} ago"


def stamp(moment: datetime | None) -> str:
    """A moment, to the second, in UTC."""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC") if moment else ""


def size(count: int) -> str:
    """A number of bytes.

    Example:
        >>> size(1536)
        '1.5 KiB'
    """
    if count < 1024:
        return f"{count} B"
    amount, units = count / 1024, ["KiB", "MiB", "GiB", "TiB"]
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        del units[0]
    return f"{amount:.1f} {units[0]}"


def _print_plain(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _fits(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether a terminal is wide enough; if not, broken lines are better than broken names and ids."""
    needed = sum(min(_longest(column), _WRAPPED) + 3 for column in zip(columns, *rows, strict=True))
    return needed <= shutil.get_terminal_size().columns


def _print_rich(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in zip(columns, *rows, strict=True):
        table.add_column(column[0], overflow="fold", no_wrap=_longest(column) <= _WRAPPED)
    for row in rows:
        # Text, not markup: a task may be named "[red]".
        table.add_row(*(Text("\n".join(map(clean, cell.split("\n")))) for cell in row))
    Console().print(table)


def _longest(column: Sequence[str]) -> int:
    return max(_width(line) for cell in column for line in cell.split("\n"))


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(2 if east_asian_width(one) in "WF" else 1 for one in text)

"""Tables on a terminal by rich; where the output is piped, plain columns."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table as RichTable

from .tables import Table


def show(tables: list[Table]) -> None:
    """Print the tables to standard output."""
    for table in tables:
        if sys.stdout.isatty():
            _rich(table)
        else:
            _plain(table)


def _rich(table: Table) -> None:
    console = Console()
    shown = RichTable(
        title=table.title, title_justify="left", caption="\n".join(table.notes), caption_justify="left"
    )
    for index, name in enumerate(table.head):
        shown.add_column(name, justify="left" if index == 0 or len(table.rows[0][index]) > 30 else "right")
    for row in table.rows:
        shown.add_row(*row)
    console.print(shown)
    console.print()


def _plain(table: Table) -> None:
    lines = [table.head, *table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.head))]
    print(table.title)
    for line in lines:
        print("  " + "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip())
    for note in table.notes:
        print(f"  - {note}")
    print()

"""The page for the docs: Markdown around the tables and the picture. What was written by hand above the mark stays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..machine import Machine
from .tables import Table

MARK = "<!-- Everything below is written by `python -m benchmarks`: change benchmarks/report, not this. -->"
INTRODUCTION = "# Benchmarks\n"


def write(
    path: Path,
    tables: list[Table],
    picture: str | None,
    machine: Machine,
    run: Mapping[str, str],
    skipped: Mapping[str, str],
) -> None:
    """Write the page, and the picture beside it under the same name."""
    before = path.read_text().partition(MARK)[0] if path.exists() else INTRODUCTION + "\n"
    parts = [before + MARK, ""]
    if picture is not None:
        image = path.with_suffix(".svg")
        parts += [f"![The same numbers as bars]({image.name})", ""]
        _replace(image, picture)
    parts += _facts(machine, run)
    for table in tables:
        parts += ["", *_table(table)]
    if skipped:
        parts += ["", "## Skipped", "", *(f"- {name}: {why}" for name, why in skipped.items())]
    _replace(path, "\n".join(parts) + "\n")


def _facts(machine: Machine, run: Mapping[str, str]) -> list[str]:
    facts = {
        "Date": machine.date,
        "Machine": f"{machine.processor}, {machine.cores} cores, {machine.memory_gib:.0f} GiB, {machine.system}",
        "Load before the run": f"{machine.load:.2f}",
        "Python": machine.python,
        "Commit": machine.commit,
        **run,
    }
    return [
        "## The run",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in facts.items()),
    ]


def _table(table: Table) -> list[str]:
    align = ["---", *("---:" if _numeric(table, column) else "---" for column in range(1, len(table.head)))]
    lines = [f"## {table.title}", "", _row(table.head), "|" + "|".join(align) + "|"]
    lines += [_row(row) for row in table.rows]
    if table.notes:
        lines += ["", *(f"- {note}" for note in table.notes)]
    return lines


def _numeric(table: Table, column: int) -> bool:
    return all(len(row[column]) < 30 for row in table.rows) and any(
        row[column][:1].isdigit() for row in table.rows
    )


def _row(words: tuple[str, ...]) -> str:
    return "| " + " | ".join(word.replace("|", "\\|").replace("\n", " ") for word in words) + " |"


def _replace(path: Path, text: str) -> None:
    """All or nothing: a run that is interrupted leaves the old page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    os.replace(new, path)

"""Keeps what each part has found, until the page is written."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..machine import Machine
from ..report.tables import Table

DIRECTORY = Path(__file__).parents[2] / "build" / "scale"


class Kept(msgspec.Struct):
    """What one part has found, where, and by which command."""

    part: str
    tables: list[Table]
    facts: Machine
    command: str


def keep(part: str, tables: list[Table], facts: Machine, command: str) -> None:
    """Instead of what the part found before."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    _path(part).write_bytes(msgspec.json.encode(Kept(part, tables, facts, command)))


def is_kept(part: str) -> bool:
    """Whether it has found anything yet."""
    return _path(part).exists()


def read(part: str) -> Kept:
    """What it found last."""
    return msgspec.json.decode(_path(part).read_bytes(), type=Kept)


def _path(part: str) -> Path:
    return DIRECTORY / f"{part}.json"

"""The ledger: what producers asked for and what handlers did, in files outside the tested server.

One line is one event: `kind tag time who detail`. Each process appends to a file of its own with `O_APPEND`, one
`write` per event or batch, so a killed process leaves whole lines. Times are of the machine's monotonic clock,
which all processes share and no nemesis skews.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PRODUCER = ("invoke", "ok", "fail", "unknown")
"""`unknown`: an exception after the task may have been sent."""

HANDLER = ("start", "end", "raise")

STRIKE = ("strike", "healed", "failed")
"""What a nemesis did: its name stands where the tag does."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event. `who` is the attempt (of a handler) or the process; `detail` an id or the type of an exception."""

    kind: str
    tag: str
    at: float
    who: str = "-"
    detail: str = "-"

    def line(self) -> str:
        """The event as it stands in the file."""
        return f"{self.kind} {self.tag} {self.at:.6f} {self.who} {self.detail}\n"


class Ledger:
    """Appends events to one file, from any thread."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, kind: str, tag: str, who: str = "-", detail: str = "-") -> None:
        """One event, now."""
        self.write_all([Entry(kind, tag, time.monotonic(), who, detail)])

    def write_all(self, entries: Iterable[Entry]) -> None:
        """Several events in one write."""
        os.write(self._descriptor, "".join(entry.line() for entry in entries).encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def read(directory: Path) -> Iterator[Entry]:
    """Every event in the ledgers of a directory; a last line that was cut off is left out."""
    for path in sorted(directory.glob("*.ledger")):
        with path.open() as lines:
            for line in lines:
                words = line.split()
                if line.endswith("\n") and len(words) == 5:
                    yield Entry(words[0], words[1], float(words[2]), words[3], words[4])

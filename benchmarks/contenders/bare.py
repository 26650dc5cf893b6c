"""What is alike in the contenders that are no library: plain programs with threads, on this very interpreter."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..contender import QUEUE, Place, Program
from ..processes import PROGRAMS


class Bare(Program):
    """A program of `programs/`, which is its own client and its own worker."""

    python = False
    version = "-"
    waiting = ("LLEN", f"asynq:{{{QUEUE}}}:pending")
    held = (("LLEN", f"asynq:{{{QUEUE}}}:active"),)
    lacks = {  # noqa: RUF012 - declared as a ClassVar by the base
        "result": "no results",
        "latency-go": "",
    }

    def prepare(self) -> None:
        """See `Contender.prepare`."""
        self.interpreter = sys.executable

    def worker_command(self, place: Place) -> Sequence[str]:
        """See `Program.worker_command`."""
        return [self.interpreter, str(PROGRAMS / f"{self.program}.py")]

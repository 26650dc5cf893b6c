"""What the server and Python allow: the simplest scripts that move a task through Asynq's keys, and none of taskflow."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..contender import QUEUE, Place, Program
from ..processes import PROGRAMS


class Limit(Program):
    """See `programs/limit_app.py`."""

    name = "limit"
    label = "limit (simplest scripts)"
    python = False
    program = "limit_app"
    version = "-"
    waiting = ("LLEN", f"asynq:{{{QUEUE}}}:pending")
    held = (("LLEN", f"asynq:{{{QUEUE}}}:active"),)
    lacks = {  # noqa: RUF012 - declared as a ClassVar by the base
        "result": "no results",
        "latency-go": "",
    }
    note = "20 threads, batches of 200; a script for each step over Asynq's keys, nothing of taskflow's, no promises"

    def prepare(self) -> None:
        """See `Contender.prepare`."""
        self.interpreter = sys.executable

    def worker_command(self, place: Place) -> Sequence[str]:
        """See `Program.worker_command`."""
        return [self.interpreter, str(PROGRAMS / "limit_app.py")]

"""What the server and Python allow: the same scripts over bare connections."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..contender import QUEUE, Place, Program
from ..processes import PROGRAMS

ALL_BUT_BULK = (
    *(
        "single",
        "threads",
        "asyncio",
        "drain",
        "drain-2",
        "drain-async",
        "drain-sleep",
        "drain-cpu",
        "drain-cpu-2",
    ),
    *("latency", "latency-go", "result", "idle", "memory", "footprint"),
)


class Limit(Program):
    """See `programs/limit_app.py`."""

    name = "limit"
    label = "limit (bare scripts)"
    python = False
    program = "limit_app"
    version = "-"
    waiting = ("LLEN", f"asynq:{{{QUEUE}}}:pending")
    held = (("LLEN", f"asynq:{{{QUEUE}}}:active"),)
    lacks = {  # noqa: RUF012 - declared as a ClassVar by the base
        "result": "no results",
        "latency-go": "",
    }
    note = "20 threads, batches of 200, taskflow's scripts over redis-py's connections; no framework, no promises"

    def prepare(self) -> None:
        """See `Contender.prepare`."""
        self.interpreter = sys.executable

    def worker_command(self, place: Place) -> Sequence[str]:
        """See `Program.worker_command`."""
        return [self.interpreter, str(PROGRAMS / "limit_app.py")]


class Overlapped(Limit):
    """The same, with a second chunk on its way while the server works on the first."""

    name = "overlapped"
    label = "limit, overlapped"
    note = "as `limit`, with two chunks of a bulk on their way at once"
    lacks = dict.fromkeys(ALL_BUT_BULK, "")

    def environment(self, place: Place) -> dict[str, str]:
        """See `Program.environment`."""
        return super().environment(place) | {"LIMIT_UNDER_WAY": "2"}

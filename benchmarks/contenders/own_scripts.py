"""What taskflow's scripts cost, and what is beside them: the same scripts over bare connections."""

from __future__ import annotations

from ..contender import Place
from .bare import Bare

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


class OwnScripts(Bare):
    """See `programs/own_scripts_app.py`."""

    name = "own-scripts"
    label = "own scripts"
    program = "own_scripts_app"
    note = "20 threads, batches of 200; taskflow's scripts over redis-py's connections; no framework, no promises"


class Overlapped(OwnScripts):
    """The same, with a second chunk on its way while the server works on the first."""

    name = "overlapped"
    label = "own scripts, overlapped"
    note = "as `own scripts`, with two chunks of a bulk on their way at once"
    lacks = dict.fromkeys(ALL_BUT_BULK, "")

    def environment(self, place: Place) -> dict[str, str]:
        """See `Program.environment`."""
        return super().environment(place) | {"UNDER_WAY": "2"}

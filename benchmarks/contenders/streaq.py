"""streaQ."""

from __future__ import annotations

from collections.abc import Sequence

from ..contender import QUEUE, Place
from ..venvs import PythonPeer


class Streaq(PythonPeer):
    """Coroutines, on streams."""

    name = "streaq"
    label = "streaQ"
    program = "streaq_app"
    requirements = ("streaq==7.2.0", "uvloop==0.23.0")
    settings = ("20 coroutines", "100 coroutines")
    waiting = ("XLEN", f"streaq:{QUEUE}:queues:normal")
    note = "uvloop, `enqueue_many`, no results of no-ops"

    def worker_command(self, place: Place) -> Sequence[str]:
        """See `Program.worker_command`."""
        return [self.script("streaq"), "run", "streaq_app:worker"]

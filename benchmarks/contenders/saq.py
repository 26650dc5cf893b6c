"""SAQ."""

from __future__ import annotations

from collections.abc import Sequence

from ..contender import QUEUE, Place
from ..venvs import PythonPeer


class Saq(PythonPeer):
    """Coroutines."""

    name = "saq"
    label = "SAQ"
    program = "saq_app"
    requirements = ("saq[redis]==0.26.4", "hiredis==3.5.0", "typing_extensions")
    settings = ("20 coroutines", "100 coroutines")
    waiting = ("LLEN", f"saq:{QUEUE}:queued")
    held = (("LLEN", f"saq:{QUEUE}:active"),)
    note = "no results of no-ops"

    def worker_command(self, place: Place) -> Sequence[str]:
        """See `Program.worker_command`."""
        return [self.script("saq"), "saq_app.settings", "--quiet"]

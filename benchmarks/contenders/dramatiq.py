"""Dramatiq."""

from __future__ import annotations

from collections.abc import Sequence

from ..contender import QUEUE, Place
from ..venvs import PythonPeer


class Dramatiq(PythonPeer):
    """One process with 20 threads, or with 8, which is its own default."""

    name = "dramatiq"
    label = "Dramatiq"
    program = "dramatiq_app"
    requirements = ("dramatiq[redis]==2.2.1", "hiredis==3.5.0")
    settings = ("20 threads", "8 threads")
    waiting = ("LLEN", f"dramatiq:{QUEUE}")
    # Holds every message until it is acknowledged.
    held = (("HLEN", f"dramatiq:{QUEUE}.msgs"),)
    note = "one process, its default middleware"

    def worker_command(self, place: Place) -> Sequence[str]:
        """See `Program.worker_command`."""
        threads = place.setting.split()[0]
        words = [self.script("dramatiq"), "dramatiq_app", "--processes", "1", "--threads", threads]
        return [*words, "--queues", QUEUE, "--skip-logging", "--worker-shutdown-timeout", "2000"]

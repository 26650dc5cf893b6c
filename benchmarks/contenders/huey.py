"""Huey."""

from __future__ import annotations

from collections.abc import Sequence

from ..contender import QUEUE, Place
from ..venvs import PythonPeer


class Huey(PythonPeer):
    """Threads; 20 of them or few."""

    name = "huey"
    label = "Huey"
    program = "huey_app"
    requirements = ("huey==3.5.4", "redis==8.1.0", "hiredis==3.5.0")
    settings = ("20 threads", "4 threads")
    waiting = ("LLEN", f"huey.redis.{QUEUE}")
    note = "threads, no results, no periodic tasks; it acknowledges nothing: a task is gone once it is taken"

    def worker_command(self, place: Place) -> Sequence[str]:
        """See `Program.worker_command`."""
        threads = place.setting.split()[0]
        words = [
            self.script("huey_consumer"),
            "huey_app.huey",
            "--workers",
            threads,
            "--worker-type",
            "thread",
        ]
        return [*words, "--no-periodic", "--quiet"]

"""taskiq."""

from __future__ import annotations

from collections.abc import Sequence

from ..contender import QUEUE, Place
from ..venvs import PythonPeer


class Taskiq(PythonPeer):
    """Coroutines, on its list broker."""

    name = "taskiq"
    label = "taskiq"
    program = "taskiq_app"
    requirements = ("taskiq==0.13.0", "taskiq-redis==1.2.4", "hiredis==3.5.0", "uvloop==0.23.0")
    settings = ("20 coroutines", "100 coroutines")
    waiting = ("LLEN", QUEUE)
    note = "`ListQueueBroker`, uvloop, `--no-parse`, prefetch 100, no results; it acknowledges nothing"

    def worker_command(self, place: Place) -> Sequence[str]:
        """See `Program.worker_command`."""
        words = [self.script("taskiq"), "worker", "taskiq_app:broker", "--workers", "1", "--no-parse"]
        tasks = place.setting.split()[0]
        return [*words, "--max-async-tasks", tasks, "--max-prefetch", "100", "--log-level", "WARNING"]

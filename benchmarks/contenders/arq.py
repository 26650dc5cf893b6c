"""arq."""

from __future__ import annotations

from collections.abc import Sequence

from ..contender import Place
from ..venvs import PythonPeer


class Arq(PythonPeer):
    """Coroutines; it polls."""

    name = "arq"
    label = "arq"
    program = "arq_app"
    requirements = ("arq==0.28.0", "hiredis==3.5.0")
    settings = ("20 coroutines", "100 coroutines")
    waiting = ("ZCARD", "arq:queue")
    note = "`poll_delay` and `result(poll_delay)` 5 ms (its default of 0.5 s drains 200 tasks/s), no results"

    def worker_command(self, place: Place) -> Sequence[str]:
        """See `Program.worker_command`."""
        return [self.script("arq"), "arq_app.WorkerSettings"]

"""docket."""

from __future__ import annotations

from collections.abc import Sequence

from ..contender import QUEUE, Place
from ..venvs import PythonPeer


class Docket(PythonPeer):
    """Coroutines, on streams."""

    name = "docket"
    label = "docket"
    program = "docket_app"
    requirements = ("pydocket==0.27.0", "hiredis==3.5.0")
    settings = ("20 coroutines", "100 coroutines")
    waiting = ("XLEN", f"{QUEUE}:stream")
    note = "`add_many`; records of executions are not kept"

    def worker_command(self, place: Place) -> Sequence[str]:
        """See `Program.worker_command`."""
        words = [self.script("docket"), "worker", "--tasks", "docket_app:tasks", "--docket", QUEUE]
        words += ["--url", place.server.url, "--logging-level", "WARNING"]
        return [*words, "--concurrency", place.setting.split()[0]]

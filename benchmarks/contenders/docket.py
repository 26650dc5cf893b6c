"""docket."""

from __future__ import annotations

from collections.abc import Sequence

from ..contender import QUEUE, Place
from ..processes import PROGRAMS
from ..venvs import PythonPeer


class Docket(PythonPeer):
    """Coroutines, on streams."""

    name = "docket"
    label = "docket"
    program = "docket_app"
    requirements = ("pydocket==0.27.0", "hiredis==3.5.0")
    waiting = ("XLEN", f"{QUEUE}:stream")
    note = (
        "`add_many`; records of executions are not kept; "
        "`minimum_check_interval` 5 ms (with its own 0.1 s it drains 200/s)"
    )

    def worker_command(self, place: Place) -> Sequence[str]:
        """See `Program.worker_command`."""
        return [self.interpreter, str(PROGRAMS / "docket_app.py")]

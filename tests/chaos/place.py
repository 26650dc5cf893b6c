"""With what a run was made: commit, server, client, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import redis

from taskflow._version import __version__
from taskflow.embedded.binary import find_binary


@cache
def where() -> str:
    """In a line."""
    server = subprocess.run([find_binary(), "--version"], capture_output=True, text=True, check=True).stdout
    commit = subprocess.run(
        ["git", "-C", Path(__file__).parent, "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, taskflow {__version__} ({commit or 'no commit'}), "
        f"{server.split(' sha')[0].strip()}, redis-py {redis.__version__}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores ({platform.machine()}, {platform.system()})"
    )

"""The file in which a worker says how it is, once a second, for `taskflow worker --check`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from ...errors import NotPrivate
from ...private_files import PrivateDirectory
from .check import birth, directories, file_name


class HealthFile:
    """One worker's file, in a folder that is private to the user.

    Args:
        facts: what the worker is: `app` (as `-A` named it), `name` (the app's own), `brokers`, `queues`, `host`.
        pid: its process id.
        token: tells it from other workers with the same process id, as those of other containers.
    """

    def __init__(self, facts: Mapping[str, object], pid: int, token: str) -> None:
        self._facts = {**facts, "pid": pid, "folder": os.getcwd(), "birth": birth(pid)}
        self._name = file_name(pid, token)
        self._folder: Path | None = None

    def write(self, state: Mapping[str, object]) -> None:
        """Write how it is now.

        Raises:
            NotPrivate: the folder is not this user's alone.
            OSError: it cannot be written, as where everything is read-only.
        """
        content = json.dumps({**self._facts, "at": time.time(), **state}).encode()
        failed: OSError | NotPrivate | None = None
        for folder in directories():
            try:
                with PrivateDirectory(folder) as opened:
                    opened.write(self._name, content)
            except (OSError, NotPrivate) as error:
                failed = failed or error
            else:
                self._folder = folder
                return
        assert failed is not None
        raise failed

    def remove(self) -> None:
        """Remove it at a clean stop."""
        if self._folder is None:
            return
        try:
            with PrivateDirectory(self._folder) as opened:
                opened.remove(self._name)
        except (OSError, NotPrivate):
            pass  # it is told from a living worker's by its process id

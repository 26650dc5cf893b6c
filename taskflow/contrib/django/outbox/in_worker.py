"""The relay in a worker: a thread of one of its children, for each database.

Of the children on a host that work for a project one relays, the others wait for its end: the system lets go of a lock when its
process dies, in whatever way. So eight children do not ask the database eight times.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from django.conf import settings as django_settings
from django.db import connections

from taskflow import TaskFlow

from .setting import OutboxSettings, outbox_settings

if sys.platform != "win32":
    import fcntl

NEXT_TRY = 1.0
"""Seconds between two looks whether the process that relays has ended."""

PATIENCE = 2.0
"""Seconds that a child waits at its stop for a round to end: less than its hooks have. A round that is cut off is safe."""


def attach(app: TaskFlow) -> None:
    """Relay in the app's workers while the setting says so."""
    relays = Relays(app)
    app.on_child_start(relays.start)
    app.on_child_stop(relays.stop)


class Relays:
    """The threads of one child.

    Args:
        app: the app.
    """

    def __init__(self, app: TaskFlow) -> None:
        self._app = app
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to relay, or to wait for it to be our turn."""
        settings = outbox_settings()
        if not settings.is_on or not settings.relay or self._app.eager:
            return
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._relay,
                args=(using, settings, self._stop),
                name=f"taskflow-relay-{using}",
                daemon=True,
            )
            for using in settings.databases
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End with the round that is under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        self._threads = []

    def _relay(self, using: str, settings: OutboxSettings, stop: threading.Event) -> None:
        # Only here: the app is made, and this attached to it, before Django has models.
        from .relay import Relay

        with _turn(using, stop):
            if not stop.is_set():
                Relay(self._app, using, settings).run(stop)


@contextlib.contextmanager
def _turn(using: str, stop: threading.Event) -> Iterator[None]:
    """Wait until no other process of this user relays for this database, or `stop` is set."""
    file = _lock_file(using)
    if file is None:
        yield
        return
    try:
        while not stop.is_set():
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                stop.wait(NEXT_TRY)
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)  # a process that a task has left behind may hold the file, too
        os.close(file)


def _lock_file(using: str) -> int | None:
    """A file whose lock says who relays, of this user's own; None: there can be none, and everybody relays."""
    if sys.platform == "win32":  # there each child relays
        return None
    database = connections.settings[using]
    told = [str(getattr(django_settings, key, "")) for key in ("SETTINGS_MODULE", "BASE_DIR")]
    told += [str(database.get(key, "")) for key in ("HOST", "PORT", "NAME")]
    name = sha256("\0".join(told).encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"taskflow-relay-{os.getuid()}-{name}"
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    if os.fstat(file).st_uid != os.getuid():  # somebody else's, who could keep it locked for ever
        os.close(file)
        return None
    return file

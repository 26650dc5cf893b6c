"""How a relay waits for rows: it is told of commits where the database tells, and looks now and then in any case."""

from __future__ import annotations

import inspect
import threading
import time
from typing import Any

from django.db import connections

from .keeping import CHANNEL

SLICE = 0.25
"""Seconds after which a wait looks whether it is to end."""


class Waking:
    """Waits on one database. Used by the thread of its relay.

    Args:
        using: the database.
        wanted: whether commits are told of.

    Attributes:
        listens: whether this connection is told of commits.
    """

    def __init__(self, using: str, wanted: bool) -> None:
        self._using = using
        self._wanted = wanted
        self._listening: Any = None

    @property
    def listens(self) -> bool:
        """Whether this connection is told of commits."""
        return self._listening is not None and self._listening is connections[self._using].connection

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Wait so long, or until rows are committed, or `stop` is set.

        Raises:
            DatabaseError: the database is away.
        """
        if not self._wanted or connections[self._using].vendor != "postgresql":
            stop.wait(seconds)
            return
        if not self.listens:
            self._listen()
            return  # what was committed before is looked for first
        until = time.monotonic() + seconds
        with connections[self._using].wrap_database_errors:
            while not stop.is_set() and (left := until - time.monotonic()) > 0:
                if any(True for _ in self._listening.notifies(timeout=min(left, SLICE), stop_after=1)):
                    return

    def _listen(self) -> None:
        connection: Any = connections[self._using]
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
        driver = connection.connection
        # psycopg 2 has nothing to wait on, and psycopg 3.1 nothing that ends: there it is looked often.
        told = getattr(driver, "notifies", None)
        if callable(told) and "timeout" in inspect.signature(told).parameters:
            self._listening = driver
        else:
            self._wanted = False

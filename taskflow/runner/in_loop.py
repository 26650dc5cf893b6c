"""A child in the process of a program that has an event loop of its own: coroutines run there, functions in threads."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

from ..pipe import frames
from ..pipe.shared_marks import SharedMarks
from ..tasks.app import TaskFlow
from .child import Child

INTERRUPT_SECONDS = 3.0
"""That tasks may take to end, before what they use is left open."""

LOOK_SECONDS = 0.01
"""Between two looks whether threads have ended."""


class LoopChild:
    """A child without a process.

    Args:
        app: whose tasks it runs.
        connection: to the worker.
        marks: shared with the worker; closed here.
        slots: how many tasks run at once.
        most: bytes that a result may have.
        loop: where coroutines run.
    """

    def __init__(
        self,
        app: TaskFlow,
        connection: socket.socket,
        marks: SharedMarks,
        slots: int,
        most: int,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._connection = connection
        self._marks = marks
        self._child = Child(app, connection, marks, slots, most, loop=loop)
        self._idle = threading.Event()
        """Whether nothing runs any more, so that what the app has may be closed."""
        self._reader = threading.Thread(target=self._run, name="taskflow-reader", daemon=True)

    def start(self) -> None:
        """Say what the app is, and read what the worker sends, in a thread of its own."""
        self._reader.start()

    def _run(self) -> None:
        try:
            if self._child.start():
                self._child.run()
        except (ConnectionError, frames.BadFrame):
            pass  # the worker has ended
        self._child.leave()
        if self._idle.wait(INTERRUPT_SECONDS):
            self._child.stop()

    async def ended(self, seconds: float) -> bool:
        """Wait until it has ended, with all that it runs, which is asked to: coroutines are cancelled, threads get an exception.

        Returns:
            False when a thread has not heard that within so many seconds: its task goes on.
        """
        deadline = time.monotonic() + seconds
        while self._child.interrupt():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        self._idle.set()
        deadline += INTERRUPT_SECONDS
        while self._reader.is_alive() and time.monotonic() < deadline:  # it closes what the app has
            await asyncio.sleep(LOOK_SECONDS)
        self._connection.close()
        self._marks.close()
        return True

"""`-P solo`: the user's code in the main thread of this process, where debuggers want it; the worker's loop in another."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from types import FrameType

from ..pipe.shared_marks import SharedMarks
from .children.process import ThreadProcess
from .config import WorkerConfig
from .launch import ignore_late_signals
from .worker import Worker

logger = logging.getLogger("taskflow.worker")

WAKE = signal.SIGUSR2
"""Brings the main thread back from wherever it waits."""

LEAVE_SECONDS = 2.0
"""Seconds that the main thread has to leave once the worker has ended. A main thread inside a C call does not notice that."""


_DEBUGGERS = frozenset({"debugpy", "pydevd"})
"""What editors load into a program that they debug."""

_DELICATE = (weakref.__file__, "<frozen importlib._bootstrap>", threading.__file__)
"""Files in which nothing is to be raised. From the callback of a weak reference it goes no further, and is printed with its
traceback; and a wait that is interrupted while it takes its lock back ends with "release unlocked lock".
"""


class _Ended(BaseException):
    """Brings the main thread out of waiting for a task."""


def is_for_a_debugger() -> bool:
    """Whether somebody may stop a task of `-P solo` and look at it: at a terminal, or by a debugger that has come otherwise.

    A limit that passes meanwhile would end the task under his hands.
    """
    terminal = sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()
    hook = os.environ.get("PYTHONBREAKPOINT", "")
    return terminal or hook not in ("", "0") or not _DEBUGGERS.isdisjoint(sys.modules)


def run_solo(
    config: WorkerConfig, actions: Callable[[Worker], Mapping[signal.Signals, Callable[[], None]]]
) -> None:
    """Run a worker whose only child is this thread.

    Args:
        config: how it runs.
        actions: what signals do with a worker.

    Raises:
        AppNotFound: the app cannot be imported.
        BrokerUnavailable: the broker cannot be reached at the start.
    """
    _Solo(config, actions).run()


class _Solo:
    def __init__(
        self, config: WorkerConfig, actions: Callable[[Worker], Mapping[signal.Signals, Callable[[], None]]]
    ) -> None:
        self._config = config
        self._actions = actions
        self._acts: dict[int, Callable[[], object]] = {}
        self._started = threading.Event()
        self._ready: list[tuple[socket.socket, SharedMarks]] = []
        self._failed: list[BaseException] = []
        self._ended = threading.Event()
        self._leaving = False

    def run(self) -> None:
        # Only here: the app's modules have no business in any other worker.
        from ..runner import child as runner

        handled = self._actions(Worker(self._config))
        for number in handled:
            signal.signal(number, self._on_signal)
        thread = threading.Thread(target=self._run_worker, name="taskflow-worker", daemon=True)
        thread.start()
        try:
            while not self._started.wait(0.1) and not self._ended.is_set():
                pass
            if self._ready:
                connection, marks = self._ready[0]
                config = self._config
                limited = not is_for_a_debugger()
                if not limited:
                    logger.info(
                        "No time limit holds: a debugger may stop a task here for as long as it likes"
                    )
                runner.main(
                    config.app,
                    connection,
                    marks,
                    config.slots,
                    place="debugged",
                    leaving=self._leave,
                    most=config.max_message,
                    limited=limited,
                )
            while not self._ended.wait(0.1):
                pass
        except _Ended:
            pass
        self._leaving = True
        ignore_late_signals(handled)
        thread.join(LEAVE_SECONDS)
        if self._failed:
            raise self._failed[0]

    def _leave(self) -> None:
        """The main thread is out of waiting for tasks: no signal is to bring it back from its last steps."""
        self._leaving = True

    # --- the worker's thread --------------------------------------------------------------------------------

    def _run_worker(self) -> None:
        try:
            asyncio.run(self._work())
        except BaseException as error:  # noqa: BLE001 - it is raised where the command was called
            self._failed.append(error)
        self._ended.set()
        deadline = time.monotonic() + LEAVE_SECONDS
        # The main thread may be inside a task or waiting for one: only a signal brings it back, and one that
        # comes just before it begins to wait does not.
        while not self._leaving:
            if time.monotonic() > deadline:
                self._leave_at_once()
            os.kill(os.getpid(), WAKE)
            time.sleep(0.05)

    async def _work(self) -> None:
        worker = Worker(self._config, self._start)
        loop = asyncio.get_running_loop()
        for number, act in self._actions(worker).items():
            self._acts[number] = partial(loop.call_soon_threadsafe, act)
        await worker.run()

    async def _start(self, connection: int, memory: int) -> ThreadProcess:
        self._ready.append(
            (socket.socket(fileno=connection), SharedMarks(os.dup(memory), self._config.slots))
        )
        self._started.set()
        return ThreadProcess()

    # --- the main thread ------------------------------------------------------------------------------------

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self._ended.is_set():
            if number in self._acts:
                with contextlib.suppress(
                    RuntimeError
                ):  # its loop is closed: it has ended, and says so in a moment
                    self._acts[number]()
        elif not self._leaving:
            if not self._failed and self._is_running():
                self._leave_at_once()
            elif frame is None or frame.f_code.co_filename not in _DELICATE:  # else at the next signal
                raise _Ended

    def _is_running(self) -> bool:
        """Whether a task still runs here, which was handed back: it must neither go on nor have a verdict."""
        return any(True for _, marks in self._ready for _ in marks.running())

    def _leave_at_once(self) -> None:
        """End this process from inside a task, as a child is ended whose grace is over."""
        self._leaving = True
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1 if self._failed else 0)

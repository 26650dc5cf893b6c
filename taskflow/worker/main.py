"""Runs a worker: signals, the event loop, and `-P solo`."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from ..errors import TaskFlowError
from ..pipe.page import Page
from ..telemetry.logs import setup
from .config import WorkerConfig
from .launch import Launched
from .process import ThreadProcess
from .worker import Worker


def run(config: WorkerConfig, launched: Sequence[Launched] = ()) -> None:
    """Run a worker until a signal ends it.

    Args:
        config: how it runs.
        launched: its children, where they were started before this module was imported (`launch.launch_all`).

    Raises:
        AppNotFound: the app cannot be imported.
        BrokerUnavailable: the broker cannot be reached at the start.
    """
    setup(config.log_level, config.log_format, errors=config.log_errors)
    if config.pool == "solo":
        _run_solo(config)
    else:
        asyncio.run(_run(config, launched))


async def _run(config: WorkerConfig, launched: Sequence[Launched]) -> None:
    worker = Worker(config, launched=launched)
    loop = asyncio.get_running_loop()
    for number, act in _actions(worker).items():
        loop.add_signal_handler(number, act)
    await worker.run()


def _actions(worker: Worker) -> dict[signal.Signals, Callable[[], None]]:
    return {
        signal.SIGTERM: worker.stop,
        signal.SIGINT: worker.stop,
        signal.SIGTSTP: worker.quiet,
        signal.SIGCONT: worker.resume,
        signal.SIGHUP: worker.reload,
        signal.SIGUSR1: worker.dump_stacks,
    }


def _run_solo(config: WorkerConfig) -> None:
    """The user's code in the main thread of this process, where debuggers want it; the worker's loop in
    another.
    """
    # Only here: the app's modules have no business in any other worker.
    from ..runner import child as runner

    started = threading.Event()
    ready: list[tuple[socket.socket, Page]] = []
    failed: list[TaskFlowError] = []

    async def start(connection: int, memory: int) -> ThreadProcess:
        ready.append((socket.socket(fileno=connection), Page(os.dup(memory), config.slots)))
        started.set()
        return ThreadProcess()

    async def work() -> None:
        worker = Worker(config, start)
        loop = asyncio.get_running_loop()
        acts = _actions(worker)
        acts.pop(signal.SIGHUP)
        for number, act in acts.items():
            signal_acts[number] = partial(loop.call_soon_threadsafe, act)
        try:
            await worker.run()
        except TaskFlowError as error:
            failed.append(error)

    def run_worker() -> None:
        try:
            asyncio.run(work())
        finally:
            ended.set()
            # The main thread may be inside a task or waiting for one: only a signal brings it back, and one that
            # comes just before it begins to wait does not.
            while not leaving:
                os.kill(os.getpid(), signal.SIGUSR2)
                time.sleep(0.05)

    signal_acts: dict[int, Callable[[], object]] = {}
    ended = threading.Event()
    leaving: list[bool] = []

    def on_signal(number: int, _frame: object) -> None:
        if ended.is_set():
            if not leaving:
                raise _Ended
            return
        if number in signal_acts:
            signal_acts[number]()

    for number in (
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGTSTP,
        signal.SIGCONT,
        signal.SIGUSR1,
        signal.SIGUSR2,
    ):
        signal.signal(number, on_signal)
    thread = threading.Thread(target=run_worker, name="taskflow-worker", daemon=True)
    thread.start()
    try:
        while not started.wait(0.1) and not ended.is_set():
            pass
        if ready:
            connection, page = ready[0]
            runner.main(config.app, connection, page, config.slots, here=True)
        while True:
            ended.wait(0.1)
            if ended.is_set():
                leaving.append(True)
                raise _Ended
    except _Ended:
        leaving.append(True)
    thread.join(5)
    if failed:
        raise failed[0]


class _Ended(BaseException):
    """Brings the main thread of a solo worker out of whatever it is doing."""

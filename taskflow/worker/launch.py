"""Starts the processes of children.

Imports little: a worker starts its children first and then imports what it needs itself, while they import the app.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from ..pipe import shared_marks
from ..pipe.frames import BROKER_VARIABLE
from .config import WorkerConfig

EARLY_SIGNALS = (
    *(signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN),
    *(signal.SIGTTOU, signal.SIGTSTP, signal.SIGALRM, signal.SIGIO),
)
"""All to which a worker at work listens, but for those that stop it, and CONT, whose default is what is meant."""


@dataclass(slots=True)
class Launched:
    """A child that was started and has not said anything yet: our end of its socket, the memory of its marks (a descriptor that
    whoever opens it closes), and its process.
    """

    connection: socket.socket
    memory: int
    process: subprocess.Popen[bytes]


def launch(config: WorkerConfig, slots: int | None = None) -> Launched:
    """Start one child.

    Args:
        config: how the worker runs.
        slots: how many tasks it runs at once, if not as many as the worker's children do.

    Raises:
        OSError: it cannot be started now; nothing is left of the try.
    """
    ours, theirs = socket_pair()
    with theirs, contextlib.ExitStack() as undo:
        undo.callback(ours.close)
        memory = shared_marks.create()
        undo.callback(os.close, memory)
        process = subprocess.Popen(
            [
                sys.executable,
                "-P",  # or the current directory came before the standard library: a project may have a queue.py
                "-m",
                "taskflow.runner",
                f"--app={config.app}",
                f"--socket={theirs.fileno()}",
                f"--marks={memory}",
                f"--slots={slots or config.slots}",
                f"--log-level={config.log_level}",
                f"--log-format={config.log_format}",
                f"--max-message={config.max_message}",
                *(["--main-thread"] if config.pool == "processes" else []),
                *(["--log-errors"] if config.log_errors else []),
            ],
            env=_environment(config.broker),
            pass_fds=(theirs.fileno(), memory),
            stdin=subprocess.DEVNULL,
            # A group of its own, so that what its tasks start can be ended with it; and a session of its own, since a group in
            # the background of a terminal may be stopped when it writes to it.
            start_new_session=True,
        )
        undo.pop_all()
    return Launched(ours, memory, process)


def launch_template(config: WorkerConfig) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start the process that imports the app and forks children (`--preload`): our end of its socket, and the process.

    Raises:
        OSError: it cannot be started now; nothing is left of the try.
    """
    # A message is one piece here, so that descriptors are never torn from what they belong to.
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, contextlib.ExitStack() as undo:
        undo.callback(ours.close)
        ours.setblocking(False)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "taskflow.runner.template"),
                f"--app={config.app}",
                f"--socket={theirs.fileno()}",
                f"--log-level={config.log_level}",
                f"--log-format={config.log_format}",
                *(["--log-errors"] if config.log_errors else []),
            ],
            env=_environment(config.broker),
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        undo.pop_all()
    return ours, process


def launch_all(config: WorkerConfig) -> list[Launched]:
    """Start the children of a worker; none for `-P solo`, whose only child is a thread, nor where they are forked from another
    process.
    """
    if config.pool == "solo" or config.preload:
        return []
    return [launch(config) for _ in range(config.children)]


def outlive_early_signals() -> None:
    """Let nothing that only means something to a worker at work end one that still starts: its handlers come with its loop.

    Handlers that do nothing, and not SIG_IGN: that would be inherited by the children, and by what their tasks start.
    """
    for number in EARLY_SIGNALS:
        signal.signal(number, _not_yet)


def _not_yet(_number: int, _frame: object) -> None:
    """There is nothing to reload, to show or to stop yet."""


def ignore_late_signals(numbers: Iterable[signal.Signals]) -> None:
    """A worker has done all it had to: nothing that comes from now on is to change how its process ends."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """The worker's and the child's end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    os.set_inheritable(theirs.fileno(), True)
    return ours, theirs


def _environment(broker: str | None) -> dict[str, str]:
    """With another broker than the app's, the children's own calls go there too. Not by an argument: those are for all to see."""
    return {**os.environ, BROKER_VARIABLE: broker} if broker is not None else dict(os.environ)

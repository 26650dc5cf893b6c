"""What a process said is heard to the end, and one that cannot be understood any more is ended. Here it is one without an app."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from taskflow.pipe import frames
from taskflow.worker.children.framed_process import FramedProcess
from taskflow.worker.children.process import ChildProcess
from taskflow.worker.launch import socket_pair
from taskflow.worker.timings import Timings

LIMIT = 20.0
"""Seconds that any of it may take, on a machine that is busy."""

STARTS = """
import os, socket, sys, time
pipe = socket.socket(fileno=int(sys.argv[1]))
"""
SAID = [frames.Pong(), frames.Returned([1]), frames.Returned([2])]
SAYS = "".join(f"pipe.sendall(bytes.fromhex({frames.frame(one).hex()!r}))\n" for one in SAID)
FORKS = "if os.fork() == 0: time.sleep(60)\n"
"""What it has forked is ended with it only after a crash."""


@contextmanager
def started(program: str, *, lost: float = 60.0) -> Iterator[FramedProcess]:
    """A process that runs this program with its end of the socket as `pipe`."""
    ours, theirs = socket_pair()
    with theirs:
        command = [sys.executable, "-S", "-E", "-c", STARTS + program, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True)
    peer = FramedProcess(ours, ChildProcess(process), Timings(lost=lost))
    try:
        yield peer
    finally:
        peer.close()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # also what it has forked
        process.wait()


def lived(program: str, *, lost: float = 60.0) -> tuple[list[frames.FromChild], int]:
    """All that a process with this program said, the first frame included, and its exit code."""
    heard: list[frames.FromChild] = []

    async def scene() -> int:
        with started(program, lost=lost) as peer:
            heard.append(await peer.open())
            return await peer.live(lambda _, value: heard.append(value))

    return heard, asyncio.run(asyncio.wait_for(scene(), LIMIT))


def test_what_it_said_is_heard_although_what_it_has_forked_keeps_its_socket_open() -> None:
    """The verdicts of a child that died were still in the socket, and their tasks ran again."""
    heard, code = lived(SAYS + FORKS + "os._exit(0)")

    assert heard == SAID
    assert code == 0


def test_one_that_says_nothing_before_it_ends_is_told_from_one_that_is_slow() -> None:
    async def scene() -> None:
        with started(FORKS + "os._exit(0)") as peer:
            await peer.open()

    with pytest.raises(EOFError):
        asyncio.run(asyncio.wait_for(scene(), LIMIT))


def test_one_that_writes_what_is_no_frame_is_ended_at_once() -> None:
    """The user's code is in the same process, and may write into any descriptor."""
    heard, code = lived(SAYS + "pipe.sendall(b'a line of the user\\n' * 10)\ntime.sleep(60)")

    assert heard == SAID
    assert code == -signal.SIGKILL


def test_one_that_lives_on_without_its_socket_is_killed() -> None:
    """It can tell nobody anything, and the tasks that it holds go back only when it has ended."""
    heard, code = lived(SAYS + "pipe.close()\ntime.sleep(60)", lost=0.1)

    assert heard == SAID
    assert code == -signal.SIGKILL


def test_one_whose_words_cannot_be_taken_is_ended() -> None:
    """An error in what takes its frames would leave a child behind to which nobody listens."""

    async def scene() -> int:
        with started(SAYS + "time.sleep(60)", lost=0.1) as peer:
            await peer.open()
            return await peer.live(lambda _, value: value.numbers[7])  # type: ignore[union-attr]

    assert asyncio.run(asyncio.wait_for(scene(), LIMIT)) != 0

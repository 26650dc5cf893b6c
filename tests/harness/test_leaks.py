"""The check itself: it sees what is left, and forgives what outlives a test on purpose."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.leaks.resources import Looker, Resources
from tests.servers import Server
from tests.workers import ROOT

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def _left_by(act: Callable[[], Any], looker: Looker | None = None) -> Resources:
    looker = looker or Looker()
    before = looker.look()
    act()
    return looker.look() - before


def test_sees_a_thread() -> None:
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    assert _left_by(thread.start).threads == {thread}
    ended.set()
    thread.join()
    assert not _left_by(lambda: None)


def test_sees_an_open_file_and_a_socket() -> None:
    opened: list[socket.socket] = []
    left = _left_by(lambda: opened.append(socket.socket()))
    assert [name.split(" -> ")[1].split(":")[0] for name in left.files] == ["socket"]
    opened[0].close()


def test_sees_a_child_and_its_child() -> None:
    code = f"import subprocess, sys; subprocess.Popen({SLEEP!r}); print(flush=True); sys.stdin.read()"
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        started.append(
            subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        )
        assert started[0].stdout is not None
        started[0].stdout.readline()

    left = _left_by(start).processes
    process = started[0]
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()
    process.wait(10)
    (orphan,) = left - {process.pid}
    try:
        os.kill(orphan, 0)
        assert _left_by(lambda: None).processes == set()
    finally:
        os.kill(orphan, 9)


def test_sees_a_child_that_nobody_waited_for() -> None:
    started: list[subprocess.Popen[bytes]] = []
    looker = Looker()

    def start() -> None:
        started.append(subprocess.Popen(SLEEP))
        looker.look()
        started[0].kill()

    assert _left_by(start, looker).processes == {started[0].pid}
    started[0].wait()


def test_sees_a_connection(valkey: Server) -> None:
    looker = Looker()
    looker.server = redis.Redis(port=valkey.port)
    clients = [redis.Redis(port=valkey.port)]
    looker.look()
    left = _left_by(clients[0].ping, looker)
    assert len(left.connections) == 1
    assert "last command ping" in " ".join(looker.describe(left)).lower()
    clients[0].close()
    looker.server.close()


def test_is_quick_when_there_is_nothing() -> None:
    """A look is part of every test."""
    looker = Looker()
    looker.look()
    best = min(_seconds(looker) for _ in range(20))
    assert best < 0.005


def _seconds(looker: Looker) -> float:
    began = time.perf_counter()
    looker.look()
    return time.perf_counter() - began


@pytest.fixture(scope="module")
def of_the_module() -> Any:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_grants_what_outlives_the_test(of_the_module: Any) -> None:
    """The check after this test finds the sockets, and knows whose they are."""
    assert of_the_module


LEFT = {
    "test_thread": "left behind: thread Thread-",
    "test_file": "left behind: open file ",
    "test_socket": "-> socket:[",
    "test_connection": "last command ping",
    "test_child": "import time; time.sleep(60)",
    "test_zombie": "ended, not waited for",
    "test_key": ":once has neither an owner nor an end",
}


def test_a_test_that_leaves_something_fails() -> None:
    """The tests of `planted.py`: each is blamed for what it has left, and no other for it."""
    command = [sys.executable, "-m", "pytest", "tests/leaks/planted.py", "-q", "-p", "no:cacheprovider"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    lines = ended.stdout.splitlines()
    assert lines[-1].startswith(f"{len(LEFT) + 3} passed, {len(LEFT)} errors"), ended.stdout
    blamed = ""
    found = {}
    for line in lines:
        if line.startswith("___"):
            blamed = line.strip("_ ").removeprefix("ERROR at teardown of ")
        elif line.startswith("E  ") and "Failed: " in line:
            found[blamed] = line
    assert found.keys() == LEFT.keys()
    assert [name for name, text in LEFT.items() if text not in found[name]] == []

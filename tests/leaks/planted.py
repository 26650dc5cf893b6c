"""Tests that leave something behind, one for each kind, and some that leave nothing. `tests/harness/test_leaks.py` runs them.

Its name keeps pytest from collecting it with the others.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import redis

from tests.leaks import check
from tests.servers import Server

left: list[object] = []
"""What keeps it alive until the process ends: a garbage collection would tidy up."""


@pytest.fixture(scope="module", autouse=True)
def _tidy() -> Iterator[None]:
    """Nothing outlives this run, whatever its tests are there to show."""
    yield
    for one in left:
        if isinstance(one, subprocess.Popen):
            one.kill()
            one.wait()


@pytest.fixture(autouse=True)
def _patience(request: pytest.FixtureRequest) -> None:
    """What is planted stays, however long one waits."""
    check.PATIENCE = 20.0 if "fine" in request.node.name else 0.5


def test_thread() -> None:
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def test_file() -> None:
    left.append(os.dup(2))


def test_socket() -> None:
    left.append(socket.socket())


def test_connection(valkey: Server) -> None:
    """Of a process of the test's, which goes on."""
    code = f"import redis, time; c = redis.Redis(port={valkey.port}); c.ping(); print(flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    left.append(process)


def test_child() -> None:
    left.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))


def test_zombie() -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    left.append(process)


def test_key(raw: redis.Redis, queue: str) -> None:
    raw.set(f"taskflow:{{{queue}}}:once", 1)


def test_key_that_ends_is_fine(raw: redis.Redis, queue: str) -> None:
    raw.set(f"taskflow:{{{queue}}}:once", 1, ex=60)


def test_slow_end_is_fine(valkey: Server) -> None:
    """A thread, its connection and a process that need a moment to go away."""

    def ping() -> None:
        with redis.Redis(port=valkey.port) as client:
            client.ping()
            subprocess.run(["sleep", "0.2"], check=True)

    threading.Thread(target=ping).start()


def test_nothing_is_fine() -> None:
    assert True

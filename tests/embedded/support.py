"""What the tests of the embedded server share: processes by their directory, and other Python processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from taskflow import embedded
from taskflow.embedded import EmbeddedConfig, NodeStatus, ports
from tests.servers import wait_until

ENSURE = """
import sys
from pathlib import Path
from taskflow import embedded
nodes = int(sys.argv[2]) if len(sys.argv) > 2 else None
print(embedded.ensure(embedded.EmbeddedConfig(Path(sys.argv[1]), nodes=nodes)))
"""


def processes_of(directory: Path) -> list[int]:
    """The processes whose command line names a file in the directory: without asking the code under test."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if any(word.startswith(os.fsencode(directory) + b"/") for word in words):
                found.append(int(entry.name))
    return found


def kill(pid: int) -> None:
    """Kill a process, and wait until it has let go of its files and ports."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: _is_gone(pid), description=f"{pid} is gone")


def _is_gone(pid: int) -> bool:
    # A dead one that nobody has waited for is still listed; and its first thread may be dead (Z) while
    # another one has yet to die, and holds the files and ports of all.
    process = Path(f"/proc/{pid}")
    try:
        dead = (process / "stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
        return dead and len(os.listdir(process / "task")) <= 1
    except (FileNotFoundError, ProcessLookupError):
        return True


def end_all(directory: Path) -> None:
    """Kill whatever works in the directory."""
    for pid in processes_of(directory):
        kill(pid)


def pids(config: EmbeddedConfig) -> list[int | None]:
    """The process of each node."""
    return [node.pid for node in embedded.status(config).nodes]


def client_of(node: NodeStatus, url: str) -> redis.Redis:
    """A connection to one node, with the password of the URL."""
    password = url.partition("//:")[2].partition("@")[0] or None
    if node.socket is not None:
        return redis.Redis(unix_socket_path=node.socket, password=password, decode_responses=True)
    return redis.Redis(port=node.port or 0, password=password, decode_responses=True)


def python(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Another Python process, with its output on pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def listener(port: int) -> Iterator[None]:
    """Somebody who listens on a port."""
    with socket.socket() as somebody:
        somebody.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        somebody.bind(("127.0.0.1", port))
        somebody.listen()
        yield


def free_ports(count: int) -> int:
    """The first of consecutive free ports."""
    return ports.choose(count)[0]

"""The server that a run measures on: a real one, on a free loopback port, ended by its process id."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis

from taskflow.embedded.binary import find_binary

START_SECONDS = 20.0


@dataclass(frozen=True)
class Server:
    """A running server; `client` is the harness's own view of it."""

    port: int
    process: subprocess.Popen[bytes]
    client: redis.Redis

    @property
    def url(self) -> str:
        """Its URL."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    def flush(self) -> None:
        """Empty it: every measurement starts with nothing."""
        self.client.execute_command("FLUSHALL", "SYNC")

    def cpu_seconds(self) -> float:
        """The processor time that it has used."""
        cpu = self.client.info("cpu")
        return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])

    def used_memory(self) -> int:
        """The bytes that it has allocated."""
        return int(self.client.info("memory")["used_memory"])

    def about(self) -> str:
        """Its name and version."""
        info = self.client.info("server")
        if "valkey_version" in info:
            return f"Valkey {info['valkey_version']}"
        return f"Redis {info['redis_version']}"


@contextlib.contextmanager
def running(directory: Path, *arguments: str) -> Iterator[Server]:
    """A server without a password and without persistence, for the time of a `with` block.

    `arguments`: more of its command's.
    """
    port = free_port()
    own = Path(tempfile.mkdtemp(prefix=f"{port}-", dir=directory))  # the same port may be free twice
    command = [str(find_binary()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(own)]
    command += ["--save", "", "--appendonly", "no", *arguments]
    log_path = own / "server.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    client = redis.Redis(host="127.0.0.1", port=port, socket_timeout=30)
    try:
        _wait_for(client, process, log_path)
        yield Server(port, process, client)
    finally:
        client.close()
        process.kill()
        process.wait(10)


def _wait_for(client: redis.Redis, process: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(redis.ConnectionError):
            client.ping()
            return
        time.sleep(0.02)
    raise RuntimeError(f"the server did not start:\n{log_path.read_text()[-2000:]}")


def free_port() -> int:
    """With room for the port of a cluster's bus, which is 10000 higher."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 55535:
            return port

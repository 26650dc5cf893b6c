"""Clusters of one node, for the tests: real servers that say of themselves what a test wants to hear."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import redis

from taskflow.embedded.binary import find_binary
from tests.servers import ONCE, Server, free_port, wait_until


@contextlib.contextmanager
def lone_node(
    directory: Path,
    *,
    epoch: int = 0,
    host: str = "127.0.0.1",
    port: int | None = None,
    password: str = "",
    settings: tuple[str, ...] = (),
) -> Iterator[Server]:
    """A node that owns every slot, as far as it knows.

    Args:
        directory: for its files.
        epoch: the higher, the newer is what it says.
        host: where it listens.
        port: a free one, unless given.
        password: of its default user.
        settings: more arguments of the server.
    """
    port = port or _free_pair(host)
    directory.mkdir(parents=True, exist_ok=True)
    command = [str(find_binary()), "--port", str(port), "--bind", host, "--dir", str(directory)]
    command += ["--save", "", "--cluster-enabled", "yes", "--cluster-announce-ip", host]
    command += ["--requirepass", password] if password else []
    with (directory / "server.log").open("ab") as log:
        process = subprocess.Popen([*command, *settings], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    server = Server(port, process, directory)
    try:
        with redis.Redis(host=host, port=port, password=password or None, retry=ONCE) as client:

            def answers() -> bool:
                assert process.poll() is None, (directory / "server.log").read_text()[-2000:]
                with contextlib.suppress(redis.exceptions.ConnectionError):
                    return bool(client.ping())
                return False

            wait_until(answers, description="the node answers")
            if epoch:
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", epoch)
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            wait_until(lambda: is_whole(client), description="the node serves")
        yield server
    finally:
        server.stop()


def _free_pair(host: str) -> int:
    """A port that is free, as is the one of the cluster's bus above it."""
    while True:
        port = free_port()
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((host, port + 10000))
            return port


def is_whole(client: redis.Redis) -> bool:
    """Whether the node thinks well of its cluster."""
    return b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO", NEVER_DECODE=True)


def cut_off(server: Server) -> None:
    """Let it answer CLUSTERDOWN from now on, as a master does that does not hear of the others any more. It still claims the
    slots that it had, but for one.
    """
    with redis.Redis(port=server.port) as client:
        client.execute_command("CLUSTER", "DELSLOTS", 0)
        wait_until(lambda: not is_whole(client), description="the node knows that it is cut off")

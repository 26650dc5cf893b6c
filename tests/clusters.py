"""Clusters of one node, for the tests: real servers that say of themselves what a test wants to hear."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import redis

from taskflow import embedded
from taskflow.connection.url import parse
from taskflow.embedded import EmbeddedConfig
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
    spare = bool(_spare) and not settings
    if spare:
        server = _fitted(_spare.popleft(), host, port, password)
    else:
        server = _start(directory, host, port, *(["--requirepass", password] if password else []), *settings)
    try:
        with redis.Redis(host=host, port=server.port, password=password or None, retry=ONCE) as client:
            _wait_for(server, client)
            if epoch:
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", epoch)
            if not spare:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            wait_until(lambda: is_whole(client), description="the node serves")
        yield server
    finally:
        server.stop()


_spare: deque[Server] = deque()


@contextlib.contextmanager
def spare_nodes(directory: Path, count: int) -> Iterator[None]:
    """So many nodes, started at once, that `lone_node` takes: for the first two seconds a master does not serve, whatever it is
    told.
    """
    _spare.extend(_start(directory / str(number)) for number in range(count))
    try:
        for server in _spare:
            with redis.Redis(port=server.port, retry=ONCE) as client:
                _wait_for(server, client)
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        yield
    finally:
        while _spare:
            _spare.popleft().stop()


def _start(directory: Path, host: str = "127.0.0.1", port: int | None = None, *settings: str) -> Server:
    port = port or _free_pair(host)
    directory.mkdir(parents=True, exist_ok=True)
    command = [str(find_binary()), "--port", str(port), "--bind", host, "--dir", str(directory)]
    command += ["--save", "", "--cluster-enabled", "yes", "--cluster-announce-ip", host, *settings]
    with (directory / "server.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    return Server(port, process, directory)


def _fitted(server: Server, host: str, port: int | None, password: str) -> Server:
    """A spare node, as if it had been started like this."""
    with redis.Redis(port=server.port, retry=ONCE) as client:
        client.config_set("cluster-announce-ip", host)
        client.config_set("requirepass", password)
        client.config_set("bind", host)
        if port is not None:
            client.config_set("port", port)
            server.port = port
    return server


def _wait_for(server: Server, client: redis.Redis) -> None:
    def answers() -> bool:
        assert server.process.poll() is None, (server.directory / "server.log").read_text()[-2000:]
        with contextlib.suppress(redis.exceptions.ConnectionError):
            return bool(client.ping())
        return False

    wait_until(answers, description="the node answers")


def _free_pair(host: str) -> int:
    """A port that is free, as is the one of the cluster's bus above it."""
    while True:
        port = free_port()
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((host, port + 10000))
            return port


def notice_soon(config: EmbeddedConfig, url: str) -> None:
    """The nodes of a local cluster that run now miss one that is gone after 1.5 s, not after 5: until they are started again."""
    password = parse(url).password
    for node in embedded.status(config).nodes:
        if node.alive:
            with redis.Redis(port=node.port or 0, password=password) as client:
                client.config_set("cluster-node-timeout", 1500)


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

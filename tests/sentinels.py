"""Sentinels for the tests: `valkey-server --sentinel` on free loopback ports, ended by process id."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import redis

from taskflow.embedded.binary import find_binary
from tests.servers import ONCE, Server, free_port, start_server, wait_until

SERVICE = "main"


@dataclass
class Sentinels:
    """A master, its replicas, and the Sentinels that watch them."""

    servers: list[Server]
    sentinels: list[Server]
    password: str = ""
    """The Sentinels' own."""

    def url(self, login: str = "", *, tail: str = SERVICE, query: str = "") -> str:
        """The broker URL; `login` is for the servers."""
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels)
        return f"redis+sentinel://{login}{hosts}/{tail}{query}"

    def ask(self, *words: str) -> object:
        """A command to the first Sentinel."""
        with redis.Redis(port=self.sentinels[0].port, password=self.password or None, protocol=2) as client:
            return client.execute_command(*words)

    def master_port(self) -> int:
        """The port of the server that is master now, as the first Sentinel says."""
        answer = self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        assert isinstance(answer, list)
        return int(answer[1])


@contextlib.contextmanager
def sentinels(
    directory: Path,
    *,
    count: int = 1,
    replicas: int = 0,
    password: str = "",
    guarded: bool = False,
    monitored: int | None = None,
) -> Iterator[Sentinels]:
    """Start a master with its replicas and Sentinels; they end with the block.

    Args:
        directory: for their files.
        count: how many Sentinels; a majority has to agree.
        replicas: how many replicas the master has.
        password: the Sentinels' own, if they shall have one.
        guarded: whether the servers have the users of `taskflow acl`.
        monitored: the port by which the Sentinels know the master, if it is not its own.
    """
    running: list[Server] = []
    try:
        for number in range(1 + replicas):
            folder = directory / f"server{number}"
            folder.mkdir()
            follow = ["--replicaof", f"127.0.0.1 {running[0].port}"] if number else []
            running.append(start_server(folder, "--repl-diskless-sync-delay", "0", *follow, guarded=guarded))
        servers = list(running)
        watching = []
        for number in range(count):
            folder = directory / f"sentinel{number}"
            folder.mkdir()
            watching.append(start_sentinel(folder, monitored or servers[0].port, count // 2 + 1, password))
            running.append(watching[-1])
        yield Sentinels(servers, watching, password)
    finally:
        for server in running:
            server.stop()


def start_sentinel(
    directory: Path, master: int, quorum: int, password: str = "", *, epoch: int = 0
) -> Server:
    """Start a Sentinel that watches the master on this port, and wait until it answers; `epoch`: of the last fail-over."""
    port = free_port()
    lines = [
        f"port {port}",
        "bind 127.0.0.1",
        "protected-mode no",
        f"dir {directory}",
        *configuration("127.0.0.1", master, quorum),
        *([f"sentinel config-epoch {SERVICE} {epoch}"] if epoch else []),
        *([f"requirepass {password}"] if password else []),
    ]
    file = directory / "sentinel.conf"
    file.write_text("\n".join(lines) + "\n")
    with (directory / "sentinel.log").open("ab") as log:
        process = subprocess.Popen(
            [str(find_binary()), str(file), "--sentinel"], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    sentinel = Server(port, process, directory)

    def answers() -> bool:
        assert process.poll() is None, (directory / "sentinel.log").read_text()[-2000:]
        with (
            contextlib.suppress(redis.exceptions.ConnectionError),
            redis.Redis(port=port, password=password, retry=ONCE) as client,
        ):
            return bool(client.ping())
        return False

    try:
        wait_until(answers, description="the Sentinel answers")
    except BaseException:
        sentinel.stop()
        raise
    return sentinel


def configuration(host: str, port: int, quorum: int, *, down_after: float = 1.0) -> Sequence[str]:
    """What a Sentinel is told about the master."""
    return [
        f"sentinel monitor {SERVICE} {host} {port} {quorum}",
        f"sentinel down-after-milliseconds {SERVICE} {int(down_after * 1000)}",
        f"sentinel failover-timeout {SERVICE} 5000",
        f"sentinel parallel-syncs {SERVICE} 1",
    ]

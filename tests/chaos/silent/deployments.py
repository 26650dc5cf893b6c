"""What runs on the hosts: a cluster of six nodes, or three servers with their Sentinels."""

from __future__ import annotations

import contextlib
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import redis

from taskflow.broker.keys import queue_keys
from taskflow.embedded.binary import find_binary
from tests.sentinels import SERVICE, configuration
from tests.servers import wait_until

from .network import Host, Network

PORT = 7000
SENTINEL_PORT = 26379
DOWN_AFTER = 1.0
"""Seconds after which the servers hold one of them for dead."""


class Deployment(ABC):
    """Servers on hosts. The first host has the master of the queue, and is the first of the URL."""

    size: int

    def __init__(self, network: Network, directory: Path) -> None:
        self.network = network
        self.directory = directory
        self.queue = ""
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        """The servers and Sentinels by name: `server1`, `sentinel1`, …"""
        self.witness = network.hosts[1]
        """Who is asked where the master is."""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    @property
    def hosts(self) -> Sequence[Host]:
        """The hosts that it is on."""
        return self.network.hosts[: self.size]

    @property
    def first(self) -> Host:
        """The host of the queue's master, which is the first of the URL too."""
        return self.hosts[0]

    @property
    @abstractmethod
    def url(self) -> str:
        """The broker URL."""

    @abstractmethod
    def master(self) -> str:
        """The address of the queue's master, as those say who are neither silent nor cut off, once it serves."""

    def ask(self, host: Host, *words: Any, port: int = PORT) -> Any:
        """A command to a server of a host, from where the client is."""

        def run() -> Any:
            # A bare connection: the client would make something else of the replies.
            connection = redis.Connection(
                host=host.address, port=port, socket_timeout=1, socket_connect_timeout=1, protocol=2
            )
            try:
                connection.send_command(*words)
                return connection.read_response(disable_decoding=True)
            finally:
                connection.disconnect()

        return self.network.call(run)

    def until(self, holds: Callable[[], object], description: str, timeout: float = 30) -> None:
        """Wait until something holds; a server that does not answer yet is waited for."""

        def quietly() -> object:
            with contextlib.suppress(redis.RedisError, OSError):
                return holds()
            return False

        wait_until(quietly, description=description, timeout=timeout)

    def await_promotion(self) -> None:
        """Until another host than the first has the queue."""
        self.until(lambda: self.master() not in ("", self.first.address), "a replica is promoted")

    @abstractmethod
    def _start(self) -> None:
        """Start everything."""

    def _server(self, host: Host, *options: str) -> None:
        name = f"server{host.number}"
        folder = self.directory / name
        folder.mkdir(exist_ok=True)
        command = [str(find_binary()), "--port", str(PORT), "--bind", host.address, "--dir", str(folder)]
        command += [
            "--save",
            "",
            "--appendonly",
            "no",
            "--protected-mode",
            "no",
            "--repl-diskless-sync-delay",
            "0",
        ]
        self.processes[name] = host.start(*command, *options, log=folder / "server.log")

    def _end(self) -> None:
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait(10)


class SixNodes(Deployment):
    """A cluster: the masters on hosts 1 to 3, their replicas on 4 to 6."""

    size = 6

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"{host.address}:{PORT}" for host in self.hosts)

    def master(self) -> str:
        """As the witness says, and the node itself."""
        slot = queue_keys(self.queue).slot
        for start, end, owner, *_ in self.ask(self.witness, "CLUSTER", "SLOTS"):
            if start <= slot <= end:
                address = owner[0].decode()
                serving = next(host for host in self.hosts if host.address == address)
                if serving is self.first:
                    return str(address)
                state = self.ask(serving, "CLUSTER", "INFO")
                return address if _ok(state) and self.ask(serving, "ROLE")[0] == b"master" else ""
        return ""

    def _start(self) -> None:
        self.queue = next(
            name for name in (f"silent-{n}" for n in range(100)) if queue_keys(name).slot < 5461
        )
        for host in self.hosts:
            self._server(
                host,
                *("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"),
                *(
                    "--cluster-node-timeout",
                    str(int(DOWN_AFTER * 1000)),
                    "--cluster-replica-validity-factor",
                    "0",
                ),
            )
        for host in self.hosts:
            self.until(lambda host=host: self.ask(host, "PING"), "the node answers")  # type: ignore[misc]
        ids = [self.ask(host, "CLUSTER", "MYID").decode() for host in self.hosts]
        for number, host in enumerate(self.hosts):
            self.ask(host, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for host in self.hosts[1:]:
            self.ask(self.first, "CLUSTER", "MEET", host.address, PORT)
        bounds = [0, 5461, 10923, 16384]
        for number in range(3):
            self.ask(self.hosts[number], "CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
        for number in range(3):
            replica = self.hosts[number + 3]
            self.until(
                lambda replica=replica, number=number: self.ask(replica, "CLUSTER", "REPLICATE", ids[number]),  # type: ignore[misc]
                "the replica knows its master",
            )
        for host in self.hosts:
            self.until(lambda host=host: self._is_whole(host), "the cluster has formed")  # type: ignore[misc]

    def _is_whole(self, host: Host) -> bool:
        nodes = self.ask(host, "CLUSTER", "SLOTS")
        return (
            len(nodes) == 3
            and all(len(entry) == 4 for entry in nodes)
            and _ok(self.ask(host, "CLUSTER", "INFO"))
            and (host.number > 3 or b"state=online" in self.ask(host, "INFO", "replication"))
        )


class Watched(Deployment):
    """A master and two replicas, with a Sentinel on each of their hosts."""

    size = 3

    @property
    def url(self) -> str:
        return self.url_of(self.hosts)

    def url_of(self, hosts: Sequence[Host]) -> str:
        """The broker URL, with the Sentinels in this order."""
        return (
            "redis+sentinel://"
            + ",".join(f"{host.address}:{SENTINEL_PORT}" for host in hosts)
            + f"/{SERVICE}"
        )

    def master(self) -> str:
        """As the witness's Sentinel says, and the server itself."""
        address = str(self._named_by(self.witness))
        serving = next(host for host in self.network.hosts if host.address == address)
        if serving is self.first or self.ask(serving, "ROLE")[0] == b"master":
            return address
        return ""

    def _named_by(self, host: Host) -> str:
        answer = self.ask(host, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE, port=SENTINEL_PORT)
        return str(answer[0].decode())

    def _start(self) -> None:
        self.queue = "silent"
        for host in self.hosts:
            # As Sentinel's own documentation wants it: a master that is cut off takes no more writes.
            self._server(
                host, "--min-replicas-to-write", "1", "--min-replicas-max-lag", "2", *self._follow(host)
            )
        self.until(
            lambda: self.ask(self.first, "INFO", "replication").count(b"state=online") == self.size - 1,
            "the replicas follow",
        )
        for host in self.hosts:
            self.start_sentinel(host, self.first)
        for host in self.hosts:
            self.until(lambda host=host: self._knows_all(host), "the Sentinels know each other")  # type: ignore[misc]

    def _follow(self, host: Host) -> list[str]:
        return [] if host is self.first else ["--replicaof", f"{self.first.address} {PORT}"]

    def spread(self, hosts: Sequence[Host]) -> None:
        """Replicas on further hosts."""
        for host in hosts:
            self._server(host, *self._follow(host))
        online = self.size - 1 + len(hosts)
        self.until(
            lambda: self.ask(self.first, "INFO", "replication").count(b"state=online") == online,
            "they follow",
        )

    def settle(self, hosts: Sequence[Host]) -> None:
        """The first of these hosts is master, the others follow it, and all have Sentinels."""
        self.ask(hosts[0], "REPLICAOF", "NO", "ONE")
        for host in hosts[1:]:
            self.ask(host, "REPLICAOF", hosts[0].address, PORT)
        for host in hosts:
            self.start_sentinel(host, hosts[0])

    def start_sentinel(self, host: Host, master: Host) -> None:
        """Start the Sentinel of a host."""
        name = f"sentinel{host.number}"
        folder = self.directory / name
        folder.mkdir(exist_ok=True)
        file = folder / "sentinel.conf"
        lines = [f"port {SENTINEL_PORT}", f"bind {host.address}", "protected-mode no", f"dir {folder}"]
        lines += configuration(master.address, PORT, len(self.hosts) // 2 + 1, down_after=DOWN_AFTER)
        file.write_text("\n".join(lines) + "\n")
        self.processes[name] = host.start(
            str(find_binary()), str(file), "--sentinel", log=folder / "sentinel.log"
        )

    def _knows_all(self, host: Host) -> bool:
        reply = self.ask(host, "SENTINEL", "MASTER", SERVICE, port=SENTINEL_PORT)
        facts = dict(zip(reply[::2], reply[1::2], strict=True))
        return (
            facts[b"num-other-sentinels"] == b"%d" % (self.size - 1)
            and facts[b"num-slaves"] == b"%d" % (self.size - 1)
            and facts[b"flags"] == b"master"
        )


def _ok(info: bytes) -> bool:
    return b"cluster_state:ok" in info

"""One embedded server or cluster as its data directory describes it: its nodes, its password, its URL."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from taskflow.embedded import process
from taskflow.embedded.layout import Layout, NodeFiles, read_private, write_private
from taskflow.embedded.manifest import Manifest
from taskflow.embedded.ports import HOST
from taskflow.embedded.topology import ClusterNode, Probe, parse_nodes
from taskflow.errors import EmbeddedServerError

#: Seconds for one answer of a node on this machine.
_ANSWER_TIMEOUT = 2.0


@dataclass(frozen=True, slots=True)
class Instance:
    """What a data directory holds."""

    layout: Layout
    manifest: Manifest
    password: str | None = field(repr=False)

    @property
    def nodes(self) -> list[NodeFiles]:
        """The files of each node."""
        return [self.layout.node(index) for index in range(self.manifest.nodes)]

    @property
    def url(self) -> str:
        """The broker URL that a client uses, with the password."""
        login = f":{quote(self.password, safe='')}@" if self.password is not None else ""
        if self.manifest.is_cluster:
            return f"redis+cluster://{login}" + ",".join(f"{HOST}:{port}" for port in self.manifest.ports)
        if self.manifest.ports:
            return f"redis://{login}{HOST}:{self.manifest.ports[0]}/0"
        return f"unix://{login}{quote(os.fsencode(self.manifest.socket or ''))}?db=0"

    def client(self, index: int) -> redis.Redis:
        """Return a connection to one node, which tries nothing twice."""
        ports = self.manifest.ports
        return redis.Redis(
            host=HOST,
            port=ports[index] if ports else 0,
            unix_socket_path=None if ports else self.manifest.socket,
            password=self.password,
            socket_timeout=_ANSWER_TIMEOUT,
            socket_connect_timeout=_ANSWER_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )

    @contextmanager
    def clients(self) -> Iterator[list[redis.Redis]]:
        """Give a connection to each node, closed at the end."""
        with ExitStack() as stack:
            yield [stack.enter_context(closing(self.client(node.index))) for node in self.nodes]


def command(client: redis.Redis, *words: str | int) -> Any:
    """Run a command and return the reply as it came: redis-py's methods parse it differently by version."""
    run: Callable[..., Any] = client.execute_command
    return run(*words)


def read_password(layout: Layout, manifest: Manifest) -> str | None:
    """Return the password of a data directory, None when it has none.

    Raises:
        EmbeddedServerError: the file is gone.
        NotPrivate: somebody else may have written it.
    """
    if not manifest.password:
        return None
    found = read_private(layout.password)
    if found is None:
        raise EmbeddedServerError(
            f"{layout.password} is missing; `taskflow server stop`, then `start` makes a new one"
        )
    return found.strip()


def obtain_password(layout: Layout, manifest: Manifest) -> str | None:
    """Return the password for servers that are all stopped, a new one when there is none yet."""
    if manifest.password and not layout.password.exists():
        write_private(layout.password, secrets.token_urlsafe(32) + "\n")
    return read_password(layout, manifest)


def probe(instance: Instance, node: NodeFiles, client: redis.Redis) -> Probe:
    """Look at one node."""
    pid = process.find(node)
    if pid is None:
        return Probe(node.index, None, "silent" if process.is_starting_or_alive(node) else "down")
    if not instance.manifest.is_reachable():
        return Probe(node.index, pid, "silent")
    try:
        return _ask(instance, node, client, pid)
    except (redis.RedisError, OSError):
        return Probe(node.index, pid, "silent")


def _ask(instance: Instance, node: NodeFiles, client: redis.Redis, pid: int) -> Probe:
    info = client.info("server", "persistence", "replication")
    if info["process_id"] != pid:  # somebody else listens there
        return Probe(node.index, pid, "silent")
    if info["loading"]:
        return Probe(node.index, pid, "loading")
    if not instance.manifest.is_cluster:
        return Probe(node.index, pid, "up")
    facts = dict(line.partition(":")[::2] for line in command(client, "CLUSTER", "INFO").split())
    return Probe(
        index=node.index,
        pid=pid,
        answer="up",
        state=facts["cluster_state"],
        slots_ok=int(facts["cluster_slots_ok"]),
        in_sync=info["role"] == "master" or info["master_link_status"] == "up",
        view=parse_nodes(command(client, "CLUSTER", "NODES")),
    )


def probe_all(instance: Instance) -> list[Probe]:
    """Look at each node once."""
    with instance.clients() as clients:
        return [probe(instance, node, client) for node, client in zip(instance.nodes, clients, strict=True)]


def remembered_view(node: NodeFiles) -> tuple[ClusterNode, ...]:
    """Return how a stopped node last saw the cluster, from its file."""
    try:
        return parse_nodes(node.nodes_conf.read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError):
        return ()

"""What runs in a data directory, looked at without changing anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from taskflow.embedded import manifest as manifests
from taskflow.embedded.config import EmbeddedConfig
from taskflow.embedded.instance import Instance, probe_all, read_password, remembered_view
from taskflow.embedded.layout import Layout
from taskflow.embedded.ports import HOST
from taskflow.embedded.topology import Answer, ClusterNode, Probe, missing, newest_view

Role = Literal["server", "master", "replica", ""]


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node.

    Args:
        index: its number, from 0.
        host: `127.0.0.1`, empty for a unix socket.
        port: None for a unix socket.
        socket: the path of the unix socket, else None.
        pid: its process, None when it is not running.
        alive: whether the process runs.
        answer: `up`, `loading` (its data), `silent` (it runs and does not answer), `down`.
        role: `server`, or in a cluster `master` or `replica`, as the living see it; empty when nobody knows.
        node_id: its id in the cluster, else empty.
        master_id: whose replica it is, else empty.
        slots: what a master serves, such as `0-5460`.
    """

    index: int
    host: str
    port: int | None
    socket: str | None
    pid: int | None
    alive: bool
    answer: Answer
    role: Role
    node_id: str = ""
    master_id: str = ""
    slots: str = ""

    @property
    def address(self) -> str:
        """Where it listens: `host:port`, or the path of the socket."""
        return f"{self.host}:{self.port}" if self.port is not None else self.socket or ""


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """A data directory.

    Args:
        directory: which.
        nodes: one for each node that was created there; empty when nothing was.
        running: whether any node runs.
        problem: what keeps it from being ready, in words; None when all is well.
    """

    directory: Path
    nodes: tuple[NodeStatus, ...]
    running: bool
    problem: str | None


def status(config: EmbeddedConfig) -> ServerStatus:
    """Look at the servers of a data directory.

    Args:
        config: which directory; the rest is not looked at.

    Returns:
        Each node, running or not. A node that does not answer costs 2 s.

    Raises:
        EmbeddedServerError: the directory cannot be understood.

    Example:
        >>> status(EmbeddedConfig(Path("/nonexistent"))).running
        False
    """
    layout = Layout.of(config.directory)
    with layout.reported():
        return _look(layout)


def _look(layout: Layout) -> ServerStatus:
    manifest = manifests.load(layout.manifest)
    if manifest is None:
        return ServerStatus(layout.root, (), running=False, problem="nothing was created there yet")
    instance = Instance(layout, manifest, read_password(layout, manifest))
    probes = probe_all(instance)
    nodes = tuple(_describe(instance, probe, probes) for probe in probes)
    return ServerStatus(
        layout.root, nodes, running=any(node.alive for node in nodes), problem=missing(probes)
    )


def _describe(instance: Instance, probe: Probe, probes: Sequence[Probe]) -> NodeStatus:
    manifest = instance.manifest
    line = _line_of(instance, probe, probes) if manifest.is_cluster else None
    role: Role = "" if manifest.is_cluster else "server"
    if line is not None:
        role = "master" if line.role == "master" else "replica"
    return NodeStatus(
        index=probe.index,
        host=HOST if manifest.ports else "",
        port=manifest.ports[probe.index] if manifest.ports else None,
        socket=manifest.socket,
        pid=probe.pid,
        alive=probe.pid is not None,
        answer=probe.answer,
        role=role,
        node_id=line.node_id if line else "",
        master_id=line.master_id if line else "",
        slots=line.slots if line else "",
    )


def _line_of(instance: Instance, probe: Probe, probes: Sequence[Probe]) -> ClusterNode | None:
    """Find what is known of a node: by itself, else by those that live, else by its own file."""
    if probe.myself is not None:
        return probe.myself
    port = instance.manifest.ports[probe.index]
    seen = [line for line in newest_view(probes) if line.port == port]
    own = [line for line in remembered_view(instance.layout.node(probe.index)) if "myself" in line.flags]
    return next(iter(seen + own), None)

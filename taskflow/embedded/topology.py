"""What nodes say about the cluster, and whether it is ready (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

SLOTS = 16_384
Answer = Literal["up", "loading", "silent", "down"]
_NOT_READY = frozenset({"fail", "fail?", "handshake", "noaddr"})


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """One line of `CLUSTER NODES`."""

    node_id: str
    port: int
    flags: frozenset[str]
    master_id: str
    epoch: int
    link: str
    slots: str

    @property
    def role(self) -> str:
        """`master` or `replica`."""
        return "master" if "master" in self.flags else "replica"


@dataclass(frozen=True, slots=True)
class Probe:
    """What one look at one node found.

    Args:
        index: which node.
        pid: its process, None when it is not running.
        answer: `up`; `loading` its data; `silent` (it runs and does not answer); `down`.
        state: `cluster_state`, empty for one server.
        slots_ok: how many slots this node sees served.
        in_sync: whether a replica has its master's data; True for others.
        view: how this node sees the cluster.
    """

    index: int
    pid: int | None
    answer: Answer
    state: str = ""
    slots_ok: int = 0
    in_sync: bool = True
    view: tuple[ClusterNode, ...] = ()

    @property
    def myself(self) -> ClusterNode | None:
        """The node's own line."""
        return next((line for line in self.view if "myself" in line.flags), None)


def parse_nodes(text: str) -> tuple[ClusterNode, ...]:
    """Read the text of `CLUSTER NODES`, or of a `nodes.conf`.

    Example:
        >>> parse_nodes("ab 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-5460")[0].slots
        '0-5460'
    """
    lines = (line.split() for line in text.splitlines())
    return tuple(_parse_line(words) for words in lines if len(words) >= 8 and words[0] != "vars")


def _parse_line(words: Sequence[str]) -> ClusterNode:
    address = words[1].partition(",")[0].partition("@")[0]
    port = address.rpartition(":")[2]
    return ClusterNode(
        node_id=words[0],
        port=int(port) if port.isdigit() else 0,
        flags=frozenset(words[2].split(",")),
        master_id="" if words[3] == "-" else words[3],
        epoch=int(words[6]),
        link=words[7],
        slots=" ".join(word for word in words[8:] if not word.startswith("[")),  # [..] is a slot that moves
    )


def newest_view(probes: Sequence[Probe]) -> tuple[ClusterNode, ...]:
    """Return the view of the node that has heard of the last failover: each failover has a higher epoch."""
    return max(
        (probe.view for probe in probes), key=lambda view: max((line.epoch for line in view), default=-1)
    )


def slot_ranges(masters: int) -> list[tuple[int, int]]:
    """Return the first and last slot of each master, as `redis-cli --cluster create` deals them.

    Example:
        >>> slot_ranges(3)
        [(0, 5460), (5461, 10922), (10923, 16383)]
    """
    borders = [round(index * SLOTS / masters) for index in range(masters + 1)]
    return [(first, after - 1) for first, after in pairwise(borders)]


def not_answering(probes: Sequence[Probe]) -> str | None:
    """Return which nodes do not answer, and why, in words; None when all do."""
    for answer, words in _ANSWERS.items():
        indexes = [str(probe.index) for probe in probes if probe.answer == answer]
        if indexes:
            return words if len(indexes) == len(probes) else f"{words}: node {', '.join(indexes)}"
    return None


def missing(probes: Sequence[Probe]) -> str | None:
    """Return what keeps a server or cluster from being ready, in words; None when it is ready."""
    silent = not_answering(probes)
    if silent is not None or len(probes) == 1:
        return silent
    members = {probe.myself.node_id for probe in probes if probe.myself is not None}
    return next((lack for probe in probes if (lack := _missing_in_node(probe, members)) is not None), None)


def _missing_in_node(probe: Probe, members: set[str]) -> str | None:
    name = f"node {probe.index}"
    ready = {line.node_id for line in probe.view if not line.flags & _NOT_READY and line.link == "connected"}
    if lost := len(members - ready):
        return f"{name} has no contact with {lost} of the others"
    if probe.slots_ok != SLOTS:
        return f"{name} sees {probe.slots_ok} of {SLOTS} slots served"
    if probe.state != "ok":
        return f"{name} says that the cluster's state is {probe.state!r}"
    if not probe.in_sync:
        return f"{name} has not copied its master's data yet"
    return None


_ANSWERS: dict[Answer, str] = {
    "down": "not running",
    "silent": "running, but not answering",
    "loading": "loading data",
}

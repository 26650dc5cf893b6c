"""Asking every node what it says of itself: version, memory, persistence, replication, clock, cluster."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...broker.command import Plain
from ...broker.server_checks import parse_info
from ...connection.topology import SLOTS, Address
from ...errors import BrokerError
from ..both import AnyBroker
from ..cluster import Shard, read_shards

_ONE_LOOK = 2.0
"""Seconds for the answers of all nodes together: one that is dead must not hold up the rest."""

_CLOCK_LOOKS = 3

SETTINGS = ("maxmemory", "maxmemory-policy", "save", "appendonly", "min-replicas-to-write")


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node.

    Args:
        address: as it is shown.
        role: `master` or `replica`.
        failed: whether the cluster says that it has failed.
        problem: why it does not answer; empty if it does.
        info: its `INFO`.
        settings: its `CONFIG GET`; None where that is not permitted.
        cluster: its `CLUSTER INFO`; empty where there is no cluster.
        skew_seconds: by how many its clock is ahead of this host's.
        doubt_seconds: by how many that may be wrong: half of the fastest round trip.
    """

    address: str
    role: str = "master"
    failed: bool = False
    problem: str = ""
    info: Mapping[str, str] | None = None
    settings: Mapping[str, str] | None = None
    cluster: Mapping[str, str] | None = None
    skew_seconds: float = 0.0
    doubt_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Servers:
    """All nodes, and what the cluster looks like; `shards` is None where there is no cluster."""

    nodes: Sequence[NodeState]
    shards: Sequence[Shard] | None = None

    @property
    def uncovered(self) -> int:
        """How many key slots nobody serves."""
        if self.shards is None:
            return 0
        covered = sum(last - first + 1 for shard in self.shards for first, last in shard.slots)
        return SLOTS - covered


async def read_servers(broker: AnyBroker) -> Servers:
    """Ask every node; in a cluster the replicas too.

    Raises:
        BrokerError: nobody answers, or nobody says anything of itself to this user.
    """
    masters = await broker.masters()
    if not broker.topology.cluster:
        return Servers(
            await _read(broker, [(address, "master", False) for address in masters], cluster=False)
        )
    shards = await read_shards(broker)
    members = [((node.host, node.port), node.role, node.failed) for shard in shards for node in shard.nodes]
    return Servers(await _read(broker, members, cluster=True), shards)


async def _read(
    broker: AnyBroker, members: Sequence[tuple[Address, str, bool]], *, cluster: bool
) -> list[NodeState]:
    asked = [address for address, _, _ in members]
    questions: list[Plain[Any]] = [Plain(("INFO",), parse_info, node=one) for one in asked]
    questions += [Plain(("CONFIG", "GET", *SETTINGS), _pairs, node=one) for one in asked]
    if cluster:
        questions += [Plain(("CLUSTER", "INFO"), parse_info, node=one) for one in asked]
    replies = await _ask(broker, questions)
    infos, settings = replies[: len(asked)], replies[len(asked) : 2 * len(asked)]
    states = replies[2 * len(asked) :] or infos
    if all(isinstance(info, BrokerError) for info in infos):
        raise infos[0]
    found = []
    for (address, role, failed), info, config, state in zip(members, infos, settings, states, strict=True):
        name = address[0] if broker.url.kind == "unix" else f"{address[0]}:{address[1]}"
        if isinstance(info, BrokerError):
            found.append(NodeState(name, role, failed, problem=str(info)))
            continue
        skew, doubt = await _clock(broker, address)
        found.append(
            NodeState(
                name,
                role,
                failed,
                "",
                info,
                None if isinstance(config, BrokerError) else config,
                state if cluster and not isinstance(state, BrokerError) else {},
                skew,
                doubt,
            )
        )
    return found


async def _ask(broker: AnyBroker, questions: Sequence[Plain[Any]]) -> list[Any]:
    """The answers, or the error in place; whoever is silent costs the others `_ONE_LOOK` at most."""
    return await broker.run_many(questions, _ONE_LOOK)


async def _clock(broker: AnyBroker, address: Address) -> tuple[float, float]:
    """How far a node's clock is ahead of ours, and half of the round trip that told so: the fastest of a few."""
    best = (0.0, float("inf"))
    for _ in range(_CLOCK_LOOKS):
        before = time.time()
        try:
            theirs = await broker.run(Plain(("TIME",), _moment, node=address), _ONE_LOOK)
        except BrokerError:
            break
        after = time.time()
        if (after - before) / 2 < best[1]:
            best = (theirs - (before + after) / 2, (after - before) / 2)
    return best


def _moment(reply: Sequence[bytes]) -> float:
    return int(reply[0]) + int(reply[1]) / 1e6


def _pairs(reply: Sequence[bytes]) -> dict[str, str]:
    return {reply[at].decode(): reply[at + 1].decode("utf-8", "replace") for at in range(0, len(reply), 2)}

"""A cluster of ten, a hundred and a thousand nodes: what of it can be measured on one machine, and what follows."""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hiredis

from taskflow.broker.keys import queue_keys
from taskflow.connection.topology import SLOTS, Topology, parse_slots
from taskflow.partitions import MOST, partition_names

from .. import server as servers
from ..report.tables import Table
from ..scenarios.waiting import wait_for
from ..server import Server
from .cluster import Figures

LOOKUPS = 100_000
MAX_CLIENTS = 10_000
"""Connections that a server takes, by default."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    Args:
        nodes: numbers of masters.
        repeats: of each measurement of time.
    """

    nodes: tuple[int, ...] = (3, 10, 100, 1000)
    repeats: int = 20


@dataclass(frozen=True, slots=True)
class View:
    """What a node of a cluster of so many costs who asks it about the slots; seconds."""

    nodes: int
    reply: int
    server: float
    read: float
    learn: float
    lookup: float


def measure(size: Size, directory: Path, say: Callable[[str], None]) -> list[Table]:
    """The topology's refresh, and over how many nodes the partitions of a queue spread."""
    views = [_view(nodes, size, directory) for nodes in size.nodes]
    rows = [
        (
            f"{view.nodes:,}",
            f"{view.reply / 1000:.1f}",
            *(f"{seconds * 1000:.2f}" for seconds in (view.server, view.read, view.learn)),
            f"{view.lookup * 1e9:.0f}",
        )
        for view in views
    ]
    for row in rows:
        say(f"nodes: {row}")
    refresh = Table(
        "One refresh of the topology",
        (
            "masters",
            "reply, kB",
            "server, ms",
            "reading it, ms",
            "taking it over, ms",
            "a look at the owner of a slot, ns",
        ),
        rows,
        (
            "A real server's reply to CLUSTER SLOTS, which was told of so many masters, each with a replica, by its nodes.conf.",
        ),
    )
    return [refresh, _spread(size)]


def project(figures: dict[int, Figures], size: Size, partitions: int) -> Table:
    """What the measured cost of a task allows on clusters whose masters have a core each: projected, not measured."""
    masters = max(figures)
    cost = figures[masters]
    rows = []
    for nodes in size.nodes:
        hot = min(nodes, _reached(nodes, MOST))
        rows.append(
            (
                f"{nodes:,}",
                f"{1e6 * nodes / cost.into_servers / 1000:,.0f}",
                f"{1e6 * nodes / cost.out_of_servers / 1000:,.0f}",
                f"{1e6 * nodes / (cost.into_servers + cost.out_of_servers) / 1000:,.0f}",
                f"{1e6 * hot / (cost.into_servers + cost.out_of_servers) / 1000:,.0f}",
                f"{_workers(nodes, partitions):,.0f}",
                f"{_workers(nodes, MOST):,.0f}",
            )
        )
    return Table(
        "Projected: thousands of tasks per second, and workers",
        (
            "masters",
            "in",
            "out",
            "in and out, many queues",
            f"in and out, one queue of {MOST} partitions",
            f"workers on one queue of {partitions} partitions",
            f"workers on one queue of {MOST} partitions",
        ),
        rows,
        (
            f"From the processor time of the servers on {masters} masters: nodes × 1 s / time per task, queues evenly spread, "
            "one core for a node, no replica. Clients and workers have to be as many as that takes.",
            f"Workers: as many as {MAX_CLIENTS:,} connections to a node allow (`maxclients`, which can be raised), "
            "with two connections for each partition on the node, as measured (one waits, one sends), and one for cancellations.",
        ),
    )


def _workers(nodes: int, partitions: int) -> float:
    """So many workers fill the fullest node with connections."""
    return MAX_CLIENTS / (2 * -(-partitions // _reached(nodes, partitions)) + 1)


def _reached(nodes: int, partitions: int) -> int:
    """Over how many of so many nodes with equal ranges of slots the partitions of a queue are spread."""
    slots = [queue_keys(name).slot for name in partition_names("bench", partitions)]
    return len({slot * nodes // SLOTS for slot in slots})


def _spread(size: Size) -> Table:
    counts = (3, 6, 16, MOST)
    rows = [(f"{nodes:,}", *(str(_reached(nodes, count)) for count in counts)) for nodes in size.nodes]
    return Table(
        "Nodes that the partitions of one queue reach",
        ("masters", *(f"{count} partitions" for count in counts)),
        rows,
        ("Counted, for nodes with equal ranges of slots.",),
    )


def _view(nodes: int, size: Size, directory: Path) -> View:
    with _one_of_many(nodes, directory) as server:
        data = _slots_reply(server)
        replies = [_timed(lambda: _parse(data)) for _ in range(size.repeats)]
        reply = _parse(data)
        topology = Topology([("127.0.0.1", server.port)], cluster=True)

        def learn() -> None:
            topology.set_slots(parse_slots(reply, ("127.0.0.1", server.port)))

        learned = [_timed(learn) for _ in range(size.repeats)]
        if len(topology.masters()) != nodes:
            raise RuntimeError(f"{len(topology.masters())} masters instead of {nodes}")
        lookup = _timed(lambda: [topology.owner(slot % SLOTS) for slot in range(LOOKUPS)]) / LOOKUPS
        server.client.execute_command("CONFIG", "RESETSTAT")
        for _ in range(size.repeats):
            _slots_reply(server)
        stats: dict[str, Any] = server.client.info("commandstats")
        spent = stats["cmdstat_cluster|slots"]["usec_per_call"] / 1e6
    return View(nodes, len(data), spent, statistics.median(replies), statistics.median(learned), lookup)


def _one_of_many(nodes: int, directory: Path) -> Any:
    """A server that believes to be one of so many masters; the others do not exist."""
    configuration = directory / f"nodes-{nodes}.conf"
    lines = []
    for index in range(nodes):
        first, last = SLOTS * index // nodes, SLOTS * (index + 1) // nodes - 1
        master, replica = f"{index + 1:040x}", f"{index + 100_001:040x}"
        flags = "myself,master" if index == 0 else "master"
        host = f"127.1.{index // 250}.{index % 250 + 1}"
        lines.append(f"{master} {host}:7000@17000 {flags} - 0 0 {index + 1} connected {first}-{last}")
        lines.append(f"{replica} {host}:7001@17001 slave {master} 0 0 {index + 1} connected")
    lines.append(f"vars currentEpoch {nodes} lastVoteEpoch 0")
    configuration.write_text("\n".join(lines) + "\n")
    return servers.running(directory, "--cluster-enabled", "yes", "--cluster-config-file", str(configuration))


def _slots_reply(server: Server) -> bytes:
    """The bytes of the reply."""
    wait_for(lambda: server.client.ping(), "the server answers", 10)
    reader = hiredis.Reader()
    data = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n")
        while True:
            part = connection.recv(1 << 20)
            data += part
            reader.feed(part)
            if reader.gets() is not False:
                return data


def _parse(data: bytes) -> Any:
    reader = hiredis.Reader()
    reader.feed(data)
    return reader.gets()


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began

"""A cluster of one, two and three masters: what a task costs the servers, the client and the worker on each."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from taskflow.broker.command import Plain
from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.connection.sync import SyncDriver
from taskflow.partitions import partition_names

from .. import server as servers
from ..contender import QUEUE, Place
from ..contenders.taskflow import Taskflow
from ..processes import Process, RunFailed
from ..report.tables import Table
from ..scenarios.waiting import wait_for
from ..server import Server

SLOTS = 16384
BASE = 1000
"""A run with so few tasks tells what the start of the client costs."""

PATIENCE = 120.0
IDLE_SECONDS = 5.0
SETTLE_SECONDS = 15.0
"""After them a worker holds what it needs, and not what the drain has needed."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    Args:
        masters: numbers of masters.
        partitions: of the queue, on each.
        tasks: enqueued in bulk, and then drained.
        rounds: how often; each number is the least of them: what others do on the machine only adds to it.
    """

    masters: tuple[int, ...] = (1, 2, 3)
    partitions: int = 6
    tasks: int = 60_000
    rounds: int = 3


@dataclass(frozen=True, slots=True)
class Figures:
    """Processor time in microseconds per task, tasks per second, and what an idle worker holds and asks."""

    into_servers: float
    into_client: float
    out_of_servers: float
    out_of_worker: float
    into_rate: float
    out_of_rate: float
    connections: float
    requests: float

    def best(self, other: Figures) -> Figures:
        """The less of each, but the greater of the rates."""
        values = [
            (max if name.name.endswith("rate") else min)(getattr(self, name.name), getattr(other, name.name))
            for name in dataclasses.fields(self)
        ]
        return Figures(*values)


@dataclass(frozen=True)
class ClusterPlace(Place):
    """A place on a cluster: `server` is one of its nodes."""

    nodes: tuple[Server, ...] = ()

    def environment(self) -> dict[str, str]:
        """See `Place.environment`."""
        return super().environment() | {"BENCH_URL": self.url, "BENCH_PARTITIONS": self.setting}

    @property
    def url(self) -> str:
        """The cluster's."""
        return "redis+cluster://" + ",".join(node.address for node in self.nodes)

    def cpu_seconds(self) -> float:
        """Of all nodes together."""
        return sum(node.cpu_seconds() for node in self.nodes)


def measure(
    size: Size, directory: Path, say: Callable[[str], None]
) -> tuple[list[Table], dict[int, Figures]]:
    """Each number of masters in turn, so many rounds; also the figures by the number of masters."""
    found: dict[int, Figures] = {}
    for round_ in range(size.rounds):
        for masters in size.masters:
            figures = _one(masters, size, directory, settle=0.0 if round_ else SETTLE_SECONDS)
            found[masters] = figures.best(found[masters]) if masters in found else figures
            say(f"cluster, round {round_ + 1}: {masters} masters: {figures}")
    rows = [
        (
            str(masters),
            *(f"{v:.1f}" for v in (f.into_servers, f.into_client, f.out_of_servers, f.out_of_worker)),
            f"{f.into_rate:,.0f}",
            f"{f.out_of_rate:,.0f}",
            f"{f.connections:.1f}",
            f"{f.requests:.1f}",
        )
        for masters, f in found.items()
    ]
    table = Table(
        f"A queue of {size.partitions} partitions on a cluster: processor time per task, µs",
        (
            "masters",
            "in: all servers",
            "in: client",
            "out: all servers",
            "out: worker and child",
            "in, tasks/s",
            "out, tasks/s",
            "connections of an idle worker to a master",
            "its requests to a master per s",
        ),
        rows,
        (
            f"{size.tasks:,} no-ops, enqueued by one `map` and drained by one worker process; the best of {size.rounds} rounds.",
            "Servers, client and worker share the cores of one machine, so the rates cannot grow with the masters. "
            "What grows on machines of their own is what the servers' time allows.",
        ),
    )
    return [table], found


def _one(masters: int, size: Size, directory: Path, settle: float) -> Figures:
    contender = Taskflow()
    contender.prepare()
    with cluster(masters, directory) as nodes:
        place = ClusterPlace(nodes[0], directory, setting=str(size.partitions), nodes=nodes)
        base = _used(place, lambda: contender.enqueue(place, "bulk", BASE))
        seconds, client, server = _used(place, lambda: contender.enqueue(place, "bulk", size.tasks))
        total = size.tasks - BASE
        waiting = _left(place, size)
        worker = Process(contender.worker_command(_with_url(place)), contender.environment(place), place.log)
        with worker:
            began, used, process = time.monotonic(), place.cpu_seconds(), 0.0
            while left := _left(place, size):
                if left == waiting:
                    began, used, process = time.monotonic(), place.cpu_seconds(), group_cpu(worker.pid)
                if time.monotonic() - began > PATIENCE:
                    raise RunFailed(f"{left} tasks were not done within {PATIENCE:g} s")
                worker.check()
                time.sleep(0.005)
            drained = time.monotonic() - began
            out, spent = place.cpu_seconds() - used, group_cpu(worker.pid) - process
            time.sleep(settle)
            connections, requests = _idle(nodes)
    return Figures(
        into_servers=(server - base[2]) / total * 1e6,
        into_client=(client - base[1]) / total * 1e6,
        out_of_servers=out / waiting * 1e6,
        out_of_worker=spent / waiting * 1e6,
        into_rate=size.tasks / seconds,
        out_of_rate=waiting / drained,
        connections=connections,
        requests=requests,
    )


def _with_url(place: ClusterPlace) -> Place:
    """For the worker's command, which takes its broker from the server's URL."""

    class _Whole(Server):
        @property
        def url(self) -> str:
            return place.url

    node = place.server
    return dataclasses.replace(place, server=_Whole(node.port, node.process, node.client))


def _used(place: ClusterPlace, act: Callable[[], float]) -> tuple[float, float, float]:
    """What `act` returns, the processor time of its program, and that of the servers."""
    before, server = os.times(), place.cpu_seconds()
    seconds = act()
    after = os.times()
    client = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, client, place.cpu_seconds() - server


def _left(place: ClusterPlace, size: Size) -> int:
    keys = [queue_keys(name) for name in partition_names(QUEUE, size.partitions)]
    commands = [Plain(("LLEN", key), int, k.slot) for k in keys for key in (k.pending, k.active)]
    broker = Broker(SyncDriver(place.url))
    try:
        return sum(broker.run_many(commands, 10))
    finally:
        broker.close()


def _idle(nodes: tuple[Server, ...]) -> tuple[float, float]:
    """Connections of the worker's to a node, and its requests per second, on average."""
    own = 1
    connections = sum(len(node.client.client_list(_type="normal")) - own for node in nodes)
    connections += sum(len(node.client.client_list(_type="pubsub")) for node in nodes)
    before = [_reads(node) for node in nodes]
    time.sleep(IDLE_SECONDS)
    requests = sum(_reads(node) - reads - 1 for node, reads in zip(nodes, before, strict=True))
    return connections / len(nodes), requests / IDLE_SECONDS / len(nodes)


def _reads(node: Server) -> int:
    """Less what the cluster's nodes say to each other: that goes over links of their own."""
    stats = node.client.info("commandstats")
    return sum(
        value["calls"]
        for name, value in stats.items()
        if name in ("cmdstat_evalsha", "cmdstat_blmove", "cmdstat_get")
    )


def group_cpu(group: int) -> float:
    """Seconds of processor time that the living processes of a group have used."""
    ticks = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if os.getpgid(int(entry.name)) == group:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def cluster(masters: int, directory: Path) -> Iterator[tuple[Server, ...]]:
    """A cluster of so many masters without replicas."""
    with contextlib.ExitStack() as stack:
        nodes = tuple(
            stack.enter_context(servers.running(directory, "--cluster-enabled", "yes"))
            for _ in range(masters)
        )
        for index, node in enumerate(nodes):
            first, last = SLOTS * index // masters, SLOTS * (index + 1) // masters - 1
            node.client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
            node.client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            for other in nodes[index + 1 :]:
                node.client.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port)
        for node in nodes:
            wait_for(lambda node=node: _is_formed(node, masters), "the cluster is formed", 30)
        yield nodes


def _is_formed(node: Server, masters: int) -> bool:
    info = node.client.execute_command("CLUSTER", "INFO")
    text = info.decode() if isinstance(info, bytes) else "".join(f"{k}:{v}\n" for k, v in info.items())
    return "cluster_state:ok" in text and f"cluster_size:{masters}" in text

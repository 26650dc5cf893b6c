"""What is wrong with the servers (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ...broker.server_checks import defects
from .nodes import NodeState, Servers
from .values import Finding, Severity

SKEW_SECONDS = 1.0
"""A clock that is further off makes leases and schedules of Go's, which come from its hosts' clocks, wrong."""

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE

SEVERITIES = {"unsafe-lua": WARNING}
"""Of defects that are grave in themselves, and lose no task."""

Facts = tuple[NodeState, Mapping[str, str], Mapping[str, str]]
"""A node that answers, its INFO, and its settings (empty where they may not be read)."""


def judge(servers: Servers) -> list[Finding]:
    """Everything that is wrong with the servers, node by node."""
    found = [finding for node in servers.nodes for finding in judge_node(node, servers)]
    return [*found, *_judge_cluster(servers), *_judge_clocks(servers)]


def judge_node(node: NodeState, servers: Servers) -> Iterator[Finding]:
    """What is wrong with one node."""
    if node.problem or node.info is None:
        said = "; the cluster says that it has failed" if node.failed else ""
        yield Finding(
            ERROR,
            "node-away",
            f"it does not answer{said}: {node.problem}",
            node.address,
            "start it again, or remove it from the cluster",
        )
        return
    facts: Facts = (node, node.info, node.settings or {})
    if node.failed:
        yield Finding(
            ERROR,
            "node-failed",
            "it answers here, and the cluster says that it has failed",
            node.address,
            "look at the network between the nodes, the bus port (port + 10000) included",
        )
    for check in _CHECKS:
        yield from check(facts)
    if servers.shards is None:
        yield from _min_replicas(facts, int(node.info.get("connected_slaves", 0)))
    else:
        yield from _cluster_state(facts)


def _defects(facts: Facts) -> Iterator[Finding]:
    node, info, settings = facts
    known = {"maxmemory_policy": settings.get("maxmemory-policy"), "maxmemory": settings.get("maxmemory")}
    for defect in defects({**info, **{name: value for name, value in known.items() if value}}):
        severity = SEVERITIES.get(defect.code, ERROR if defect.grave else NOTE)
        yield Finding(severity, defect.code, defect.what, node.address, defect.remedy)


def _persistence(facts: Facts) -> Iterator[Finding]:
    node, info, settings = facts
    failing = [
        name
        for name in ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status")
        if info.get(name, "ok") != "ok"
    ]
    if failing:
        yield Finding(
            ERROR,
            "persistence-fails",
            f"it cannot save ({', '.join(failing)}): writes may be refused, and a restart loses tasks",
            node.address,
            "look into its log: most often the disk is full or not writable",
        )
    if info.get("aof_enabled") == "1" or settings.get("save"):
        return
    remedy = "CONFIG SET appendonly yes, and in the configuration file"
    if node.settings is not None:
        yield Finding(
            WARNING,
            "no-persistence",
            "it saves nothing (appendonly no, save empty): a restart loses every task",
            node.address,
            remedy,
        )
    elif info.get("rdb_saves", "0") == "0":
        yield Finding(
            NOTE,
            "persistence-unknown",
            "appendonly is off, and this user may not read whether it saves snapshots",
            node.address,
            remedy,
        )


def _replication(facts: Facts) -> Iterator[Finding]:
    node, info, _ = facts
    if info.get("role") == "slave" and info.get("master_link_status") == "down":
        yield Finding(
            ERROR,
            "replica-cut-off",
            f"the replica has no link to its master {info.get('master_host', '')}:{info.get('master_port', '')}",
            node.address,
            "look at both logs; until then it can replace the master only with what it had",
        )


_CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (_defects, _persistence, _replication)


def _min_replicas(facts: Facts, replicas: int) -> Iterator[Finding]:
    """A master that nobody follows should refuse what a failover would lose."""
    node, info, settings = facts
    if info.get("role") != "master":
        return
    good = info.get("min_slaves_good_slaves")
    wanted = int(settings.get("min-replicas-to-write") or (0 if good is None else 1))
    if wanted and good is not None and int(good) < wanted:
        yield Finding(
            ERROR,
            "writes-refused",
            f"min-replicas-to-write is {wanted} and {good} replicas are there: every write is refused (NOREPLICAS)",
            node.address,
            "bring the replicas back",
        )
    if not wanted and replicas:
        yield Finding(
            NOTE,
            "min-replicas",
            "min-replicas-to-write is 0: a master that is cut off takes tasks that the failover throws away",
            node.address,
            "CONFIG SET min-replicas-to-write 1 (it then refuses writes while no replica is there), or use durable=True",
        )


def _cluster_state(facts: Facts) -> Iterator[Finding]:
    node = facts[0]
    state = (node.cluster or {}).get("cluster_state", "ok")
    if state != "ok":
        yield Finding(
            ERROR,
            "cluster-down",
            f"it says that the cluster is in state {state}",
            node.address,
            "see the findings about nodes and slots",
        )


def _judge_cluster(servers: Servers) -> Iterator[Finding]:
    if servers.shards is None:
        return
    if servers.uncovered:
        yield Finding(
            ERROR,
            "slots-uncovered",
            f"{servers.uncovered} key slots belong to nobody: the queues there cannot be used",
            "cluster",
            "bring their node back, or `valkey-cli --cluster fix`",
        )
    states = {node.address: node for node in servers.nodes}
    for shard in servers.shards:
        masters = [node for node in shard.nodes if node.role == "master" and not node.failed]
        replicas = [node for node in shard.nodes if node.role != "master" and not node.failed]
        if not shard.slots or not masters:
            continue
        where = f"{masters[0].host}:{masters[0].port}"
        if not replicas:
            yield Finding(
                WARNING,
                "no-replica",
                "the master has no replica: when it dies its queues stand still",
                where,
                "add a replica, or bring it back",
            )
        state = states.get(where)
        if state is not None and state.info is not None:
            yield from _min_replicas((state, state.info, state.settings or {}), len(replicas))


def _judge_clocks(servers: Servers) -> Iterator[Finding]:
    answering = [
        node for node in servers.nodes if node.info is not None and node.doubt_seconds != float("inf")
    ]
    for node in answering:
        if abs(node.skew_seconds) - node.doubt_seconds > SKEW_SECONDS:
            side = "ahead of" if node.skew_seconds > 0 else "behind"
            yield Finding(
                WARNING,
                "clock-skew",
                f"its clock is {abs(node.skew_seconds):.1f} s {side} this host's",
                node.address,
                "run a time service (chrony, systemd-timesyncd) on both",
            )
    if len(answering) > 1:
        first, last = min(answering, key=_skew), max(answering, key=_skew)
        if last.skew_seconds - first.skew_seconds - first.doubt_seconds - last.doubt_seconds > SKEW_SECONDS:
            yield Finding(
                WARNING,
                "clock-skew",
                f"its clock is {last.skew_seconds - first.skew_seconds:.1f} s ahead of that of {first.address}",
                last.address,
                "run a time service (chrony, systemd-timesyncd) on every node",
            )


def _skew(node: NodeState) -> float:
    return node.skew_seconds

"""Queues as tables: what `taskflow queue ls` and `taskflow queue inspect` show."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ..broker.keys import queue_keys
from ..errors import ConfigurationError
from ..inspector import ClusterQueue, Inspector, Node, QueueInfo
from ..states import State
from .output import clean, number, print_fields, print_table, print_title, span, stamp


def print_cluster(placed: Sequence[ClusterQueue]) -> None:
    """Print the table of queues, key slots and nodes."""
    print_table(
        ("Queue", "Cluster KeySlot", "Cluster Nodes"),
        [(one.queue, str(one.key_slot), "\n".join(map(_node, one.nodes)) or "no node") for one in placed],
        empty="No queues.",
    )


def error_rate(processed: int, failed: int) -> str:
    """The share of failures."""
    return f"{failed / processed:.2%}" if processed else "n/a"


def row(found: QueueInfo, name: str, *, spread: bool) -> tuple[str, ...]:
    """A line of the listing; `spread`: there is a column for partitions."""
    partitions = [number(found.partitions) if found.parts else "-"] if spread else []
    if found.is_unknown:
        return (name, "unavailable", *partitions, *["-"] * (len(State) + 2))
    return (
        name,
        _state(found),
        *partitions,
        number(found.size),
        *(number(found.count(state)) for state in State),
        span(found.latency),
    )


def _state(found: QueueInfo) -> str:
    if found.is_unknown:
        return "unavailable"
    if found.problem:
        return "partly unavailable"
    if found.is_partly_paused:
        return "partly paused"
    return "paused" if found.paused else "running"


def warn(found: Sequence[QueueInfo]) -> None:
    """What could not be read, and an exit code that says so."""
    troubled = [one for one in found if one.problem]
    for one in troubled:
        click.echo(f"Warning: queue {one.name!r}: {clean(one.problem)}", err=True)
    if troubled:
        click.get_current_context().exit(1)


def _node(node: Node) -> str:
    failed = ", failed" if node.failed else ""
    host = f"[{node.host}]" if ":" in node.host else node.host
    return f"{node.id[:8]} {host}:{node.port} ({node.role}{failed})"


def print_queue(found: QueueInfo) -> None:
    """What one queue holds, and what it did."""
    waited = f"{span(found.latency)}, since {stamp(found.oldest_pending_since)}" if found.latency else "0s"
    print_title("Queue Info")
    print_fields(
        [
            ("Name", found.name),
            ("Size", number(found.size)),
            ("Groups", number(found.groups)),
            ("Paused", "yes" if found.paused else "some partitions" if found.is_partly_paused else "no"),
            ("Latency", waited),
            ("Orphans", f"{number(found.orphans)} ids without a task" if found.orphans else ""),
        ]
    )
    click.echo()
    print_title("Task Count by State")
    states = list(State)
    print_table([state.value for state in states], [[number(found.count(state)) for state in states]])
    click.echo()
    print_title("Today (UTC) and in Total")
    print_table(
        ("", "processed", "failed", "error rate"),
        [
            (
                "today",
                number(found.processed),
                number(found.failed),
                error_rate(found.processed, found.failed),
            ),
            (
                "total",
                number(found.processed_total),
                number(found.failed_total),
                error_rate(found.processed_total, found.failed_total),
            ),
        ],
    )


def print_parts(inspector: Inspector, found: QueueInfo) -> None:
    """The partitions of a queue, each with its key slot and, in a cluster, the node that holds it."""
    try:
        placed = inspector.cluster_queues([part.name for part in found.parts])
    except ConfigurationError:
        placed = []
    masters = {one.queue: one.nodes[0] for one in placed if one.nodes}
    click.echo()
    print_title("Partitions")
    print_table(
        (
            "partition",
            "key slot",
            *(["node"] if masters else []),
            "state",
            "size",
            "pending",
            "active",
            "latency",
        ),
        [
            (
                part.name,
                str(queue_keys(part.name).slot),
                *([_node(masters[part.name]) if part.name in masters else "no node"] if masters else []),
                _state(part),
                *(
                    ["-"] * 4
                    if part.problem
                    else [number(part.size), number(part.pending), number(part.active), span(part.latency)]
                ),
            )
            for part in found.parts
        ],
    )

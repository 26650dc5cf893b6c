"""`taskflow queue`: the queues, and where they are."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ..broker.keys import queue_keys
from ..errors import ConfigurationError
from ..inspector import ClusterQueue, Inspector, Node, QueueInfo
from ..states import State
from .inspecting import for_each, inspects
from .options import remember_target
from .output import (
    as_json,
    clean,
    number,
    print_fields,
    print_json,
    print_table,
    print_title,
    span,
    stamp,
    tasks_are,
)
from .views import cluster_view, day_view, queue_view

_NAMES = click.argument("names", nargs=-1, required=True, metavar="QUEUE...")


@click.group("queue")
@remember_target
def queue() -> None:
    """List, inspect, pause, resume and remove queues."""


@queue.command("ls")
@inspects
@click.option("--cluster", is_flag=True, help="Show the key slot and the nodes of each queue and partition.")
@click.option("--partitions", is_flag=True, help="Show the partitions of each queue that has several.")
@as_json
def list_queues(inspector: Inspector, cluster: bool, partitions: bool, as_json: bool) -> None:
    """List the queues. One over several partitions is one line, with their sums."""
    if cluster:
        placed = inspector.cluster_queues()
        if as_json:
            print_json([cluster_view(one) for one in placed])
        else:
            print_cluster(placed)
        return
    found = inspector.queues()
    if as_json:
        print_json([queue_view(one, parts=partitions) for one in found])
        return
    spread = any(one.parts for one in found)
    rows = []
    for one in found:
        rows.append(_row(one, one.name, spread=spread))
        if partitions:
            rows += [_row(part, f"  {part.name}", spread=spread) for part in one.parts]
    print_table(
        (
            "Queue",
            "State",
            *(["Partitions"] if spread else []),
            "Size",
            *(state.value.capitalize() for state in State),
            "Latency",
        ),
        rows,
        empty="No queues.",
    )
    _warn(found)


def print_cluster(placed: Sequence[ClusterQueue]) -> None:
    """Print the table of queues, key slots and nodes."""
    print_table(
        ("Queue", "Cluster KeySlot", "Cluster Nodes"),
        [(one.queue, str(one.key_slot), "\n".join(map(_node, one.nodes)) or "no node") for one in placed],
        empty="No queues.",
    )


@queue.command("inspect")
@_NAMES
@inspects
@as_json
def inspect_queues(inspector: Inspector, names: tuple[str, ...], as_json: bool) -> None:
    """Show what queues hold, and what they did today."""
    found = [inspector.queue(name) for name in names]
    if as_json:
        print_json([queue_view(one, parts=True) for one in found])
        return
    for position, one in enumerate(found):
        if position:
            click.echo()
        _print_queue(one)
        if one.parts:
            _print_parts(inspector, one)
    _warn(found)


@queue.command("history")
@_NAMES
@inspects
@click.option(
    "-x", "--days", type=click.IntRange(1, 90), default=10, show_default=True, help="How many days."
)
@as_json
def show_history(inspector: Inspector, names: tuple[str, ...], days: int, as_json: bool) -> None:
    """Show what queues did on each day (UTC)."""
    found = {name: inspector.history(name, days) for name in names}
    if as_json:
        print_json(
            [{"queue": name, "days": [day_view(one) for one in counts]} for name, counts in found.items()]
        )
        return
    for position, (name, counts) in enumerate(found.items()):
        if position:
            click.echo()
        print_fields([("Queue", name)])
        print_table(
            ("Date (UTC)", "Processed", "Failed", "Error rate"),
            [
                (
                    one.day.isoformat(),
                    number(one.processed),
                    number(one.failed),
                    error_rate(one.processed, one.failed),
                )
                for one in counts
            ],
        )


@queue.command("pause")
@_NAMES
@inspects
def pause_queues(inspector: Inspector, names: tuple[str, ...]) -> None:
    """Let no worker take from queues until resumed.

    Workers of ours and of Go's finish what they are running.
    """

    def pause(name: str) -> str:
        return f"Queue {name!r} is paused{'' if inspector.pause(name) else ' already'}."

    for_each(names, pause)


@queue.command("resume")
@_NAMES
@inspects
def resume_queues(inspector: Inspector, names: tuple[str, ...]) -> None:
    """Let workers take from queues again."""

    def resume(name: str) -> str:
        return f"Queue {name!r} is resumed." if inspector.resume(name) else f"Queue {name!r} is not paused."

    for_each(names, resume)


@queue.command("rm")
@_NAMES
@inspects
@click.option("-f", "--force", is_flag=True, help="Also when it holds tasks: they are deleted with it.")
def remove_queues(inspector: Inspector, names: tuple[str, ...], force: bool) -> None:
    """Remove queues and everything that is theirs.

    Counters and unique locks go too. A queue that runs tasks is never removed.
    """

    def remove(name: str) -> str:
        inspector.remove(name, force=force)
        return f"Queue {name!r} is removed."

    for_each(names, remove)


@queue.command("purge")
@click.argument("name", metavar="QUEUE")
@inspects
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def purge_queue(inspector: Inspector, name: str, yes: bool) -> None:
    """Delete the tasks of a queue that have yet to run.

    Those are the pending, scheduled, retry and aggregating ones. Active, archived and completed tasks stay.
    """
    found = inspector.queue(name)
    waiting = found.pending + found.scheduled + found.retry + found.aggregating
    if not yes:
        click.confirm(f"{tasks_are(waiting)} waiting in queue {name!r}. Delete?", abort=True)
    click.echo(f"{tasks_are(inspector.purge(name))} deleted.")


def error_rate(processed: int, failed: int) -> str:
    """The share of failures."""
    return f"{failed / processed:.2%}" if processed else "n/a"


def _row(found: QueueInfo, name: str, *, spread: bool) -> tuple[str, ...]:
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


def _warn(found: Sequence[QueueInfo]) -> None:
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


def _print_queue(found: QueueInfo) -> None:
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


def _print_parts(inspector: Inspector, found: QueueInfo) -> None:
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

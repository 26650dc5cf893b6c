"""`taskflow stats`: everything at a glance."""

from __future__ import annotations

import click

from ..inspector import Inspector, NodeFacts, Stats
from ..inspector.views import stats_view
from ..states import State
from .inspecting import inspects
from .output import as_json, clean, number, print_fields, print_json, print_table, print_title, size, span
from .queue_table import error_rate


@click.command("stats")
@inspects
@as_json
def stats(inspector: Inspector, as_json: bool) -> None:
    """Show the tasks by state and by queue, what was done today, and the servers."""
    found = inspector.stats()
    if as_json:
        print_json(stats_view(found))
    else:
        _print_counts(found)
        _print_today(found)
        _print_servers(found)
    troubles = [f"queue {one.name!r}: {one.problem}" for one in found.queues if one.problem]
    troubles += [f"server {one.address}: {one.problem}" for one in found.nodes if one.problem]
    for text in troubles:
        click.echo(f"Warning: {clean(text)}", err=True)
    if troubles:
        click.get_current_context().exit(1)


def _print_counts(found: Stats) -> None:
    print_title("Task Count by State")
    print_table([state.value for state in State], [[number(found.total(state)) for state in State]])
    click.echo()
    print_title("Task Count by Queue")
    print_table(
        ("queue", "size", "latency"),
        [
            (
                one.name + (" (paused)" if one.paused else ""),
                "unavailable" if one.is_unknown else number(one.size),
                "-" if one.is_unknown else span(one.latency),
            )
            for one in found.queues
        ],
        empty="No queues.",
    )
    click.echo()


def _print_today(found: Stats) -> None:
    processed = sum(one.processed for one in found.queues)
    failed = sum(one.failed for one in found.queues)
    print_title(f"Daily Stats {found.measured_at:%Y-%m-%d} UTC")
    print_table(
        ("processed", "failed", "error rate"),
        [(number(processed), number(failed), error_rate(processed, failed))],
    )
    click.echo()


def _print_servers(found: Stats) -> None:
    print_title("Servers" if found.cluster is None else "Cluster Masters")
    print_table(
        ("address", "version", "uptime", "connections", "memory usage", "peak memory usage"),
        [_server(node) for node in found.nodes],
    )
    if found.cluster is not None:
        click.echo()
        print_title("Cluster Info")
        print_fields(
            [
                ("State", found.cluster.state),
                ("Known nodes", str(found.cluster.known_nodes)),
                ("Cluster size", str(found.cluster.size)),
                ("Slots served", f"{number(found.cluster.slots_ok)} of 16,384"),
            ]
        )


def _server(node: NodeFacts) -> tuple[str, ...]:
    if node.problem:
        return (node.address, "unavailable", "-", "-", "-", "-")
    return (
        node.address,
        node.version,
        span(node.uptime),
        number(node.connections),
        size(node.memory),
        size(node.peak_memory),
    )

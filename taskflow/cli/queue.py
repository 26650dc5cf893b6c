"""`taskflow queue`: the queues, and where they are."""

from __future__ import annotations

import click

from ..errors import QueueNotFound
from ..inspector import Inspector
from ..inspector.views import cluster_view, day_view, queue_view
from ..states import State
from .inspecting import for_each, inspects
from .options import remember_target
from .output import as_json, number, print_fields, print_json, print_table, tasks_are
from .queue_table import error_rate, print_cluster, print_parts, print_queue, row, warn

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
        rows.append(row(one, one.name, spread=spread))
        if partitions:
            rows += [row(part, f"  {part.name}", spread=spread) for part in one.parts]
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
    warn(found)


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
        print_queue(one)
        if one.parts:
            print_parts(inspector, one)
    warn(found)


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

    Workers of ours and of Go's finish what they are running. A queue that nobody has used yet may be paused, too.
    """

    def pause(name: str) -> str:
        try:
            return f"Queue {name!r} is paused{'' if inspector.pause(name) else ' already'}."
        except QueueNotFound:
            inspector.pause(name, must_exist=False)
            return f"Queue {name!r} is paused. Nobody has used it yet: is the name right?"

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

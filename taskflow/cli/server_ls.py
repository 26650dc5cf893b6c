"""`taskflow server ls`: the workers that run now. Asynq, and so its tools, call them servers."""

from __future__ import annotations

import click

from ..inspector import Inspector, ServerView
from ..inspector.views import server_view
from .inspecting import inspects
from .output import as_json, clean, print_json, print_table, since


@click.command("ls")
@inspects
@as_json
def ls(inspector: Inspector, as_json: bool) -> None:
    """List the workers that run now, of ours and of Go's."""
    found = inspector.servers()
    if as_json:
        print_json([server_view(one) for one in found])
        return
    print_table(
        ("Host", "PID", "State", "Active Workers", "Queues", "Started"),
        [_row(one) for one in found],
        empty="No running workers.",
    )
    troubled = [one for one in found if one.problem]
    for one in troubled:
        click.echo(f"Warning: worker {clean(f'{one.host}:{one.pid}')}: {clean(one.problem)}", err=True)
    if troubled:
        click.get_current_context().exit(1)


def _row(found: ServerView) -> tuple[str, ...]:
    if found.problem:
        return (found.host, str(found.pid), "unavailable", "-", "-", "-")
    queues = " ".join(f"{name}:{weight}" for name, weight in sorted(found.queues.items()))
    return (
        found.host,
        str(found.pid),
        found.status,
        f"{found.active}/{found.concurrency}",
        queues,
        since(found.started),
    )

"""`taskflow server ls`: the workers that run now. Asynq, and so its tools, call them servers."""

from __future__ import annotations

import click

from ..inspector import Inspector, ServerView
from ..inspector.views import server_view
from .inspecting import inspects
from .output import as_json, print_json, print_table, since


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


def _row(found: ServerView) -> tuple[str, ...]:
    queues = " ".join(f"{name}:{weight}" for name, weight in sorted(found.queues.items()))
    return (
        found.host,
        str(found.pid),
        found.status,
        f"{found.active}/{found.concurrency}",
        queues,
        since(found.started),
    )

"""`taskflow task watch`: what a task does and says, as it happens."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..broker.sync import Broker
from ..client.client import Client
from ..inspector import Inspector
from ..inspector.views import line_view, progress_view
from ..message.report import Progress
from ..states import State
from ..tasks.result import AsyncResult
from ..tasks.watching import LogLines, StateChanged, Verdict, WatchEvent
from ..telemetry.escape import printable_json
from .options import Target, target_options
from .output import as_json, clean
from .said import counted, line_text, progress_text

FAILED = 1
"""The exit code for a task that has failed for good."""

Show = Callable[[WatchEvent], None]


@click.command("watch")
@click.argument("task_id", metavar="ID")
@target_options
@click.option("-q", "--queue", metavar="QUEUE", help="Its queue.  [default: the only one that has the task]")
@click.option(
    "--timeout",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="How long at most.  [default: until it has ended]",
)
@as_json
def watch(target: Target, task_id: str, queue: str | None, timeout: float | None, as_json: bool) -> None:
    """Show what a task does and says, until it has ended: its state, a bar for its progress, and its lines.

    With --json each event is a line of JSON. Ctrl-C ends the watching, and not the task. The exit code is 1 if the task has
    failed for good.
    """
    client = Client(target.broker_url, target.crypto)
    try:
        handle: AsyncResult[Any] = AsyncResult._of(client, task_id, _place(client.broker, task_id, queue))
        with _as_json() if as_json else _on_terminal() if sys.stdout.isatty() else _as_text() as show:
            for event in handle.watch(timeout):
                show(event)
    finally:
        client.close()
    if isinstance(event, Verdict) and event.state is State.ARCHIVED:
        click.get_current_context().exit(FAILED)


def _place(broker: Broker, task_id: str, queue: str | None) -> str:
    """The queue that the task is in; of one with partitions, the partition."""
    inspector = Inspector(broker)
    return inspector.task(queue, task_id).queue if queue else inspector.find(task_id)


@contextmanager
def _as_json() -> Iterator[Show]:
    yield lambda event: click.echo(printable_json(json.dumps(_view(event))))


def _view(event: WatchEvent) -> dict[str, Any]:
    match event:
        case Progress():
            return {"event": "progress", **progress_view(event)}
        case LogLines(lines, missed):
            return {"event": "lines", "lines": [line_view(line) for line in lines], "missed": missed}
        case StateChanged(state, retried, error):
            return {"event": "state", "state": state.value, "retried": retried, "last_error": error or None}
        case Verdict(state, error):
            return {"event": "verdict", "state": state.value if state else None, "error": error or None}


@contextmanager
def _as_text() -> Iterator[Show]:
    """For a pipe or a file: a line for everything."""

    def show(event: WatchEvent) -> None:
        if isinstance(event, Progress):
            click.echo(f"Progress: {clean(progress_text(event))}")
        for line in _lines(event):
            click.echo(line)

    yield show


@contextmanager
def _on_terminal() -> Iterator[Show]:
    """Lines, and below them a bar."""
    # Only here: it takes its time to import.
    from rich import progress
    from rich.console import Console
    from rich.text import Text

    words = ("{task.fields[count]}", "{task.fields[note]}")
    count, note = (progress.TextColumn(text, markup=False) for text in words)
    columns = (progress.BarColumn(), progress.TaskProgressColumn(), count, note, progress.TimeElapsedColumn())
    with progress.Progress(*columns, console=Console(highlight=False)) as screen:
        bar: progress.TaskID | None = None

        def show(event: WatchEvent) -> None:
            nonlocal bar
            if isinstance(event, Progress):
                if bar is None:
                    bar = screen.add_task("", count="", note="")
                # Where nobody knows the whole, the bar only moves.
                done, total = (0.0, None) if event.fraction is None else (event.fraction, 1.0)
                screen.update(bar, completed=done, total=total, count=counted(event), note=clean(event.note))
            for line in _lines(event):
                screen.console.print(Text(line))  # not markup: a line may be "[red]"

        yield show


def _lines(event: WatchEvent) -> Iterator[str]:
    match event:
        case LogLines(lines, missed):
            if missed:
                yield f"({missed:,} lines are not there any more)"
            yield from map(line_text, lines)
        case StateChanged(state, retried, error):
            failed = f" after {retried} failed attempt{'s' if retried > 1 else ''}" if retried else ""
            because = f": {clean(error)}" if error and state is State.RETRY else ""
            yield f"The task is {state.value}{failed}{because}"
        case Verdict(State.ARCHIVED, error):
            yield f"It has failed: {clean(error)}"
        case Verdict(None):
            yield "It is gone: it succeeded and is not kept, or was deleted"
        case Verdict():
            yield "It has succeeded"

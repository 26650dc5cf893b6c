"""`taskflow task`: look at tasks, and move them by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ..inspector import Inspector
from ..inspector.views import page_view, task_view
from ..states import State
from .inspecting import for_each, inspects
from .options import remember_target
from .output import as_json, number, print_fields, print_json, print_table, tasks_are
from .task_table import COLUMNS, CONTENTS, fields

_QUEUE = click.option("-q", "--queue", required=True, metavar="QUEUE", help="The queue.")
_ITS_QUEUE = click.option(
    "-q", "--queue", metavar="QUEUE", help="Its queue.  [default: the only one that has the task]"
)
_IDS = click.argument("ids", nargs=-1, metavar="ID...")
_MORE_IDS = click.option(
    "-i", "--id", "more_ids", multiple=True, metavar="ID", help="The same as an argument."
)
_PAYLOAD = click.option("--payload", is_flag=True, help="Show arguments, headers and results too.")
_GROUP = click.option(
    "-g", "--group", metavar="GROUP", help="One aggregation group, with -s aggregating.  [default: all]"
)


def _state(*states: State) -> Callable[[Any], Any]:
    return click.option(
        "-s",
        "--state",
        required=True,
        type=click.Choice([state.value for state in states]),
        callback=lambda context, option, value: State(value),
        help="The state.",
    )


@click.group("task")
@remember_target
def task() -> None:
    """List, inspect, run, archive, delete and cancel tasks."""


@task.command("ls")
@inspects
@_QUEUE
@_state(*State)
@_GROUP
@click.option("--page", type=click.IntRange(1, 10**9), default=1, show_default=True, help="Which page.")
@click.option(
    "--size", type=click.IntRange(1, 10_000), default=30, show_default=True, help="Tasks on a page."
)
@_PAYLOAD
@as_json
def list_tasks(
    inspector: Inspector,
    queue: str,
    state: State,
    group: str | None,
    page: int,
    size: int,
    payload: bool,
    as_json: bool,
) -> None:
    """List the tasks in a state, in the order in which they come up."""
    _check_group(state, group)
    found = inspector.tasks(queue, state, page=page, size=size, group=group)
    if as_json:
        print_json(page_view(queue, state, found, payload=payload))
        return
    columns = list(COLUMNS[state])
    if payload:
        columns += [(name, cell) for name, cell in CONTENTS if any(map(cell, found.tasks))]
    print_table(
        [name for name, _ in columns],
        [[cell(one) for _, cell in columns] for one in found.tasks],
        empty=f"No {state.value} tasks in queue {queue!r}{f', group {group!r}' if group else ''}.",
    )
    if found.total > len(found.tasks) and found.tasks:
        first = (page - 1) * size + 1
        click.echo(f"{first} to {first + len(found.tasks) - 1} of {number(found.total)}", err=True)


@task.command("inspect")
@_IDS
@inspects
@_ITS_QUEUE
@_MORE_IDS
@_PAYLOAD
@as_json
def inspect_tasks(
    inspector: Inspector,
    queue: str | None,
    ids: tuple[str, ...],
    more_ids: tuple[str, ...],
    payload: bool,
    as_json: bool,
) -> None:
    """Show tasks."""
    found = [inspector.task(queue or inspector.find(one), one) for one in _required(ids, more_ids)]
    if as_json:
        views = [task_view(one, payload=payload) for one in found]
        print_json(views[0] if len(views) == 1 else views)
        return
    for position, one in enumerate(found):
        if position:
            click.echo()
        print_fields(fields(one, payload=payload))


@task.command("run")
@_IDS
@inspects
@_ITS_QUEUE
@_MORE_IDS
def run_tasks(
    inspector: Inspector, queue: str | None, ids: tuple[str, ...], more_ids: tuple[str, ...]
) -> None:
    """Let tasks run now that wait, were archived, or are completed."""
    _each(inspector, queue, _required(ids, more_ids), inspector.run, "is pending")


@task.command("archive")
@_IDS
@inspects
@_ITS_QUEUE
@_MORE_IDS
def archive_tasks(
    inspector: Inspector, queue: str | None, ids: tuple[str, ...], more_ids: tuple[str, ...]
) -> None:
    """Archive tasks that wait: they do not run, and can be looked at and run later."""
    _each(inspector, queue, _required(ids, more_ids), inspector.archive, "is archived")


@task.command("delete")
@_IDS
@inspects
@_ITS_QUEUE
@_MORE_IDS
def delete_tasks(
    inspector: Inspector, queue: str | None, ids: tuple[str, ...], more_ids: tuple[str, ...]
) -> None:
    """Delete tasks that are not running."""
    _each(inspector, queue, _required(ids, more_ids), inspector.delete, "is deleted")


@task.command("cancel")
@_IDS
@inspects
@_ITS_QUEUE
@_MORE_IDS
def cancel_tasks(
    inspector: Inspector, queue: str | None, ids: tuple[str, ...], more_ids: tuple[str, ...]
) -> None:
    """Tell the workers that run tasks to stop them.

    The workers that listen are told, and none of them answers. A task that waits is not touched, and that is said:
    archive or delete it.
    """

    def cancel(one: str) -> str:
        places = inspector.queues_with(one) if queue is None else [queue]
        running = [place for place in places if inspector.task(place, one).state is State.ACTIVE]
        if places and not running:
            inspector.require_active(places[0], one)
        inspector.cancel(one)
        if running:
            return f"Workers are told to cancel task {one!r}."
        return f"No queue that is listed has task {one!r}. Workers are told to cancel it, should one run it."

    for_each(_required(ids, more_ids), cancel)


@task.command("runall")
@inspects
@_QUEUE
@_state(State.SCHEDULED, State.RETRY, State.ARCHIVED, State.COMPLETED, State.AGGREGATING)
@_GROUP
def run_all(inspector: Inspector, queue: str, state: State, group: str | None) -> None:
    """Let all tasks of a state run now."""
    _check_group(state, group)
    click.echo(f"{tasks_are(inspector.run_all(queue, state, group))} pending.")


@task.command("archiveall")
@inspects
@_QUEUE
@_state(State.PENDING, State.SCHEDULED, State.RETRY, State.AGGREGATING)
@_GROUP
def archive_all(inspector: Inspector, queue: str, state: State, group: str | None) -> None:
    """Archive all tasks of a state."""
    _check_group(state, group)
    click.echo(f"{tasks_are(inspector.archive_all(queue, state, group))} archived.")


@task.command("deleteall")
@inspects
@_QUEUE
@_state(*(state for state in State if state is not State.ACTIVE))
@_GROUP
def delete_all(inspector: Inspector, queue: str, state: State, group: str | None) -> None:
    """Delete all tasks of a state."""
    _check_group(state, group)
    click.echo(f"{tasks_are(inspector.delete_all(queue, state, group))} deleted.")


def _each(
    inspector: Inspector,
    queue: str | None,
    ids: tuple[str, ...],
    order: Callable[[str, str], None],
    done: str,
) -> None:
    def carry_out(one: str) -> str:
        order(queue or inspector.find(one), one)
        return f"Task {one!r} {done}."

    for_each(ids, carry_out)


def _required(ids: tuple[str, ...], more_ids: tuple[str, ...]) -> tuple[str, ...]:
    if not ids and not more_ids:
        raise click.UsageError("which task? Name its id.")
    return ids + more_ids


def _check_group(state: State, group: str | None) -> None:
    if group is not None and state is not State.AGGREGATING:
        raise click.UsageError("-g/--group goes with -s aggregating only")

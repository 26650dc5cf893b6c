"""`taskflow task`: look at tasks, and move them by hand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import click

from ..inspector import Inspector, TaskFilter
from ..inspector.views import listing_view, task_view
from ..states import State
from .attempts import attempt_lines
from .inspecting import inspects
from .options import remember_target
from .output import as_json, number, print_fields, print_json, print_table, tasks_are
from .running import started
from .said import said_lines
from .state_words import StateWord
from .task_cancel import cancel_tasks
from .task_choice import Choice, carry_out, chooses, yes_option
from .task_table import COLUMNS, CONTENTS, QUEUE, fields, started_column

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


RUNNABLE = (State.SCHEDULED, State.RETRY, State.ARCHIVED, State.COMPLETED, State.AGGREGATING)
ARCHIVABLE = (State.PENDING, State.SCHEDULED, State.RETRY, State.AGGREGATING)
DELETABLE = tuple(state for state in State if state is not State.ACTIVE)
"""The states whose tasks each order is for."""


def _state(*states: State) -> Callable[[Any], Any]:
    return click.option(
        "-s",
        "--state",
        required=True,
        type=StateWord(states),
        callback=lambda context, option, value: State(value),
        help="The state.",
    )


@click.group("task")
@remember_target
def task() -> None:
    """List, inspect, watch, run, archive, delete and cancel tasks."""


@task.command("ls")
@inspects
@chooses(*State, required=True)
@_GROUP
@click.option("--page", type=click.IntRange(1, 10**9), default=1, show_default=True, help="Which page.")
@click.option(
    "--size", type=click.IntRange(1, 10_000), default=30, show_default=True, help="Tasks on a page."
)
@_PAYLOAD
@as_json
def list_tasks(
    inspector: Inspector,
    choice: Choice,
    group: str | None,
    page: int,
    size: int,
    payload: bool,
    as_json: bool,
) -> None:
    """List the tasks in a state, in the order in which they come up; those of a queue, or of all."""
    state, queues = choice.state, choice.queues
    assert state is not None, "the option is required"
    _check_group(state, group)
    if group is not None and (choice.queue is None or choice.where != TaskFilter()):
        raise click.UsageError("-g/--group is for one queue, and goes with no filter")
    if choice.queue is not None and choice.where == TaskFilter():
        found = inspector.tasks(choice.queue, state, page=page, size=size, group=group)
        tasks, total, more = found.tasks, found.total, page * size < found.total
    else:
        matching = inspector.matching(state, choice.where, queues=queues)
        some = list(islice(matching, (page - 1) * size, page * size + 1))
        tasks, total, more = tuple(some[:size]), None, len(some) > size
    if as_json:
        print_json(listing_view(choice.queue, state, tasks, total, page, size, more=more, payload=payload))
        return
    columns = [QUEUE, *COLUMNS[state]] if choice.all_queues else list(COLUMNS[state])
    if begun := started(inspector, tasks):
        columns.append(started_column(begun))
    if payload:
        columns += [(name, cell) for name, cell in CONTENTS if any(map(cell, tasks))]
    place = f"queue {choice.queue!r}" if choice.queue else "all queues"
    fit = "" if choice.where == TaskFilter() else " fit"
    print_table(
        [name for name, _ in columns],
        [[cell(one) for _, cell in columns] for one in tasks],
        empty=f"No {state.value} tasks{fit} in {place}{f', group {group!r}' if group else ''}.",
    )
    first = (page - 1) * size + 1
    if tasks and total is not None and total > len(tasks):
        click.echo(f"{first} to {first + len(tasks) - 1} of {number(total)}", err=True)
    elif tasks and (more or page > 1):
        there_is_more = f"; --page {page + 1} has more" if more else ""
        click.echo(f"{first} to {first + len(tasks) - 1}{there_is_more}", err=True)


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
    """Show tasks, with each attempt at them that failed: when, how long, which worker, and the traceback."""
    found = [inspector.task(queue or inspector.find(one), one) for one in _required(ids, more_ids)]
    begun = started(inspector, found)
    if as_json:
        views = [task_view(one, payload=payload, started=begun.get((one.queue, one.id))) for one in found]
        print_json(views[0] if len(views) == 1 else views)
        return
    for position, one in enumerate(found):
        if position:
            click.echo()
        print_fields(fields(one, payload=payload, started=begun.get((one.queue, one.id))))
        for line in (*said_lines(one), *attempt_lines(one)):
            click.echo(line)


@task.command("run")
@_IDS
@inspects
@chooses(*RUNNABLE)
@_MORE_IDS
@yes_option
def run_tasks(
    inspector: Inspector, choice: Choice, ids: tuple[str, ...], more_ids: tuple[str, ...], yes: bool
) -> None:
    """Let tasks run now that wait, were archived, or are completed: by id, or all that fit a filter.

    \b
    taskflow task run 2f6c1d0e-5c55-4c2c-9d35-4c9f0a4a2b3a
    taskflow task run -q orders -s archived --error PaymentError --newer-than 2h
    """
    carry_out(
        inspector,
        choice,
        ids + more_ids,
        inspector.run,
        inspector.run_matching,
        question="Let them run now?",
        done="pending",
        yes=yes,
    )


@task.command("archive")
@_IDS
@inspects
@chooses(*ARCHIVABLE)
@_MORE_IDS
@yes_option
def archive_tasks(
    inspector: Inspector, choice: Choice, ids: tuple[str, ...], more_ids: tuple[str, ...], yes: bool
) -> None:
    """Archive tasks that wait: they do not run, and can be looked at and run later. By id, or all that fit a filter."""
    carry_out(
        inspector,
        choice,
        ids + more_ids,
        inspector.archive,
        inspector.archive_matching,
        question="Archive them?",
        done="archived",
        yes=yes,
    )


@task.command("delete")
@_IDS
@inspects
@chooses(*DELETABLE)
@_MORE_IDS
@yes_option
def delete_tasks(
    inspector: Inspector, choice: Choice, ids: tuple[str, ...], more_ids: tuple[str, ...], yes: bool
) -> None:
    """Delete tasks that are not running: by id, or all that fit a filter."""
    carry_out(
        inspector,
        choice,
        ids + more_ids,
        inspector.delete,
        inspector.delete_matching,
        question="Delete them?",
        done="deleted",
        yes=yes,
    )


task.add_command(cancel_tasks)


@task.command("runall")
@inspects
@_QUEUE
@_state(*RUNNABLE)
@_GROUP
def run_all(inspector: Inspector, queue: str, state: State, group: str | None) -> None:
    """Let all tasks of a state run now."""
    _check_group(state, group)
    click.echo(f"{tasks_are(inspector.run_all(queue, state, group))} pending.")


@task.command("archiveall")
@inspects
@_QUEUE
@_state(*ARCHIVABLE)
@_GROUP
def archive_all(inspector: Inspector, queue: str, state: State, group: str | None) -> None:
    """Archive all tasks of a state."""
    _check_group(state, group)
    click.echo(f"{tasks_are(inspector.archive_all(queue, state, group))} archived.")


@task.command("deleteall")
@inspects
@_QUEUE
@_state(*DELETABLE)
@_GROUP
def delete_all(inspector: Inspector, queue: str, state: State, group: str | None) -> None:
    """Delete all tasks of a state."""
    _check_group(state, group)
    click.echo(f"{tasks_are(inspector.delete_all(queue, state, group))} deleted.")


def _required(ids: tuple[str, ...], more_ids: tuple[str, ...]) -> tuple[str, ...]:
    if not ids and not more_ids:
        raise click.UsageError("which task? Name its id.")
    return ids + more_ids


def _check_group(state: State, group: str | None) -> None:
    if group is not None and state is not State.AGGREGATING:
        raise click.UsageError("-g/--group goes with -s aggregating only")

"""`taskflow task cancel`: by id, or all that match."""

from __future__ import annotations

import click

from ..inspector import Inspector
from ..inspector.cancelling import STATES, CancelCounts
from ..states import CancelOutcome, State
from .inspecting import for_each, inspects
from .output import number, tasks_are
from .state_words import StateWord
from .task_choice import can_ask, yes_option

_SAID = {
    CancelOutcome.CANCELLED: "Task {0!r} is cancelled.",
    CancelOutcome.ASKED: "Task {0!r} runs: whoever runs it is told to end it.",
    CancelOutcome.ENDED: "Task {0!r} has ended already.",
}


@click.command("cancel")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@inspects
@click.option(
    "-q", "--queue", metavar="QUEUE", help="The queue.  [default: for an ID, the only one that has it]"
)
@click.option("-i", "--id", "more_ids", multiple=True, metavar="ID", help="The same as an argument.")
@click.option("--name", metavar="GLOB", help="Tasks of this name, such as 'shop.*'.")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="That have this header.")
@click.option(
    "-s",
    "--state",
    "states",
    multiple=True,
    type=StateWord(STATES),
    help="In this state, or in one of these.",
)
@click.option("--all-queues", is_flag=True, help="In all queues that are listed.")
@click.option(
    "--terminate",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="Kill the process of a task that still runs after so many seconds; 0: at once.",
)
@yes_option
def cancel_tasks(
    inspector: Inspector,
    queue: str | None,
    ids: tuple[str, ...],
    more_ids: tuple[str, ...],
    name: str | None,
    headers: tuple[str, ...],
    states: tuple[str, ...],
    all_queues: bool,
    terminate: float | None,
    yes: bool,
) -> None:
    """Cancel tasks, those that wait and those that run.

    One that waits is archived. One that runs is told to end, and is not run again, whatever becomes of its worker. By ID, or with
    --name, --header or --state all that match, in the queue of -q or in --all-queues.
    """
    every = ids + more_ids
    matches = bool(name or headers or states)
    if bool(every) == (matches or all_queues):
        raise click.UsageError(
            "which tasks? Name their ids, or with -q or --all-queues what they have to match"
        )
    if every:
        _by_id(inspector, queue, every, terminate)
        return
    if (queue is None) == (not all_queues):
        raise click.UsageError("in which queue? Name one with -q, or give --all-queues")
    if all_queues and not matches:
        raise click.UsageError(
            "all tasks of all queues? Say what they have to match: --name, --header, --state"
        )
    queues = None if queue is None else [queue]
    wanted = [State(state) for state in states] or None
    said = dict(_header(header) for header in headers)

    def order(*, dry: bool) -> CancelCounts:
        return inspector.cancel_all(
            queues=queues,
            name=name,
            headers=said,
            state=wanted,
            terminate=False if terminate is None else terminate,
            dry=dry,
        )

    found = order(dry=True)
    if not found.cancelled + found.asked:
        click.echo("No task matches.")
        return
    click.echo(f"{tasks_are(found.cancelled)} waiting, {number(found.asked)} running.")
    if not yes:
        if not can_ask():
            raise click.UsageError("nobody can be asked here, so nothing was done; --yes does it without")
        click.confirm("Cancel them?", abort=True)
    done = order(dry=False)
    click.echo(f"{tasks_are(done.cancelled)} cancelled, {number(done.asked)} told to end.")


def _by_id(inspector: Inspector, queue: str | None, ids: tuple[str, ...], terminate: float | None) -> None:
    def cancel(one: str) -> str:
        if queue is None and not inspector.queues_with(one):
            inspector.cancel(one)
            return (
                f"No queue that is listed has task {one!r}. Workers are told to cancel it, should one run it."
            )
        outcome = inspector.cancel(one, queue, terminate=False if terminate is None else terminate)
        return _SAID[outcome].format(one)

    for_each(ids, cancel)


def _header(given: str) -> tuple[str, str]:
    name, sign, value = given.partition("=")
    if not (name and sign):
        raise click.UsageError(f"--header takes NAME=VALUE, not {given!r}")
    return name, value

"""Which tasks a command is for: those with these ids, or those of a state that fit a filter."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import click

from ..errors import InvalidOption
from ..inspector import Inspector, TaskFilter, parse_age
from ..states import State
from .inspecting import for_each
from .output import clean, number, tasks_are
from .state_words import StateWord

_Function = TypeVar("_Function", bound=Callable[..., Any])

_ITS_DEFAULT = "  [default, with ids: the only one that has the task]"


def _seconds(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """A length of time: `90`, `45s`, `30m`, `2h`, `1d12h`, `2w`."""
    if text is None:
        return None
    try:
        return parse_age(text)
    except InvalidOption as error:
        raise click.BadParameter(str(error)) from None


def _word(context: click.Context, parameter: click.Parameter, text: str | None) -> str:
    """What is asked of a name or an error. An empty one is most likely a variable that is not set: it would mean all tasks."""
    if text is not None and not text.strip():
        raise click.BadParameter("it is empty; leave the option out if all are meant")
    return text or ""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a command was told: where to look, in which state, and for what."""

    queue: str | None
    all_queues: bool
    state: State | None
    where: TaskFilter

    @property
    def queues(self) -> list[str] | None:
        """The queues, as the inspector takes them; raises UsageError unless it was said which."""
        if self.queue is not None and self.all_queues:
            raise click.UsageError("-q names one queue, --all-queues means all: say one of the two")
        if self.queue is None and not self.all_queues:
            raise click.UsageError("which queue? Name it with -q, or say --all-queues")
        return None if self.queue is None else [self.queue]

    @property
    def is_filter(self) -> bool:
        """Whether it says more than in which queue."""
        return self.all_queues or self.state is not None or self.where != TaskFilter()


def chooses(*states: State, required: bool = False) -> Callable[[_Function], Callable[..., Any]]:
    """Give a command the options of a choice, which it gets as its argument `choice`.

    Args:
        states: those that may be named.
        required: whether one must be.
    """
    options = [
        click.option("-q", "--queue", metavar="QUEUE", help=f"The queue.{'' if required else _ITS_DEFAULT}"),
        click.option("--all-queues", is_flag=True, help="All queues that are listed."),
        click.option(
            "-s",
            "--state",
            required=required,
            type=StateWord(states),
            callback=lambda context, option, value: value and State(value),
            help="The state.",
        ),
        click.option("--name", metavar="GLOB", callback=_word, help="Tasks of this name, such as 'shop.*'."),
        click.option(
            "--error",
            metavar="TYPE",
            callback=_word,
            help="That last failed with this type: PaymentError, 'shop.*'. What failed in Go has none.",
        ),
        click.option(
            "--text",
            "--match",
            metavar="TEXT",
            callback=_word,
            help="With this in the text of their last error.",
        ),
        click.option(
            "--older-than",
            metavar="AGE",
            callback=_seconds,
            help="In their state for so long at least: 2h, 30m, 1d12h.",
        ),
        click.option(
            "--newer-than", metavar="AGE", callback=_seconds, help="In their state for so long at most."
        ),
    ]

    def choosing(command: _Function) -> Callable[..., Any]:
        @wraps(command)
        def with_choice(
            *args: Any, queue: str | None, all_queues: bool, state: State | None, **kwargs: Any
        ) -> Any:
            asked = ("name", "error", "text", "older_than", "newer_than")
            where = TaskFilter(**{one: kwargs.pop(one) for one in asked})
            return command(*args, choice=Choice(queue, all_queues, state, where), **kwargs)

        chosen: Callable[..., Any] = with_choice
        for option in reversed(options):
            chosen = option(chosen)
        return chosen

    return choosing


yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask, with a filter.")


def carry_out(
    inspector: Inspector,
    choice: Choice,
    ids: Sequence[str],
    one: Callable[[str, str], None],
    many: Callable[..., int],
    *,
    question: str,
    done: str,
    yes: bool,
) -> None:
    """Carry out an order for the tasks of a choice.

    Args:
        inspector: that has the order.
        choice: which tasks.
        ids: those of these ids, or all that the choice means.
        one: the order for a task, by queue and id.
        many: the order for all that fit.
        question: what is asked before it.
        done: what is said of tasks after it: "pending".
        yes: do not ask.
    """
    if ids:
        if choice.is_filter:
            raise click.UsageError("these are ids and a filter: name tasks by the one or by the other")

        def order(task_id: str) -> str:
            one(choice.queue or inspector.find(task_id), task_id)
            return f"Task {task_id!r} is {done}."

        for_each(ids, order)
        return
    if choice.state is None:
        raise click.UsageError("which task? Name its id; or many, by their state (-s) and a filter")
    state, queues = choice.state, choice.queues
    counts = inspector.count_matching(state, choice.where, queues=queues)
    total = sum(counts.values())
    if not total:
        click.echo(f"No {state.value} task fits.")
        return
    largest = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    shown = [f"{clean(queue)} ({number(count)})" for queue, count in largest[:_MOST_SHOWN]]
    others = len(largest) - len(shown)
    listed = ", ".join(shown) + (f" and {number(others)} more queues" if others > 0 else "")
    fit = f"1 {state.value} task fits" if total == 1 else f"{number(total)} {state.value} tasks fit"
    click.echo(f"{fit}: {listed}")
    if not yes:
        if not can_ask():
            click.echo(
                "Error: nobody can be asked here, so nothing was done; --yes does it without", err=True
            )
            click.get_current_context().exit(2)
        click.confirm(question, abort=True)
    moved = many(state, choice.where, queues=queues)
    left = f" {number(total - moved)} had moved on meanwhile." if moved < total else ""
    click.echo(f"{tasks_are(moved)} {done}.{left}")


_MOST_SHOWN = 8
"""Queues that are named."""


def can_ask() -> bool:
    """Whether somebody sits there."""
    return sys.stdin.isatty()

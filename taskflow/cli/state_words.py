"""The option `-s`: a state of tasks by Asynq's name; other tools' words for one are answered with ours."""

from __future__ import annotations

from collections.abc import Iterable

import click

from ..states import State

_OTHER_WORDS = {
    "dead": State.ARCHIVED,
    "delayed": State.SCHEDULED,
    "done": State.COMPLETED,
    "failed": State.ARCHIVED,
    "failure": State.ARCHIVED,
    "cancelled": State.ARCHIVED,
    "queued": State.PENDING,
    "reserved": State.ACTIVE,
    "retrying": State.RETRY,
    "revoked": State.ARCHIVED,
    "running": State.ACTIVE,
    "started": State.ACTIVE,
    "succeeded": State.COMPLETED,
    "success": State.COMPLETED,
    "waiting": State.PENDING,
}

_CANCELLED = ("cancelled", "revoked")


class StateWord(click.Choice[str]):
    """One of some states, in upper or lower case.

    Args:
        states: those that may be named.
    """

    def __init__(self, states: Iterable[State]) -> None:
        super().__init__([state.value for state in states], case_sensitive=False)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The state's name; another tool's word for it is refused with ours."""
        word = str(value).lower()
        meant = _OTHER_WORDS.get(word)
        if meant is not None and meant.value in self.choices:
            other = " --error TaskCancelled" if word in _CANCELLED else ""
            self.fail(f"{value!r} is -s {meant.value}{other} here.", param, ctx)
        return super().convert(value, param, ctx)

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        """The states in one line, as every error is."""
        return f"It is one of {', '.join(self.choices)}"

"""What a mistyped command or option was meant to be: only what is nearly the same word, or another word for it."""

from __future__ import annotations

from difflib import SequenceMatcher

import click

NEARLY = 0.8
"""How much two words have in common of which one is the other, mistyped. click's own 0.6 takes `remove` for `resume`."""

SYNONYMS = {"remove": "rm", "delete": "rm", "del": "rm", "list": "ls", "show": "inspect", "info": "inspect"}
"""Other tools' words for commands, and ours."""


def correct(error: click.UsageError) -> None:
    """Take out of an error the words that click believes to be near and that are not."""
    possibilities: list[str] | None = getattr(error, "possibilities", None)
    given = str(getattr(error, "option_name", None) or getattr(error, "command_name", ""))
    if possibilities:
        possibilities[:] = [word for word in possibilities if is_near(given, word)]
    command = error.ctx.command if error.ctx is not None else None
    meant = SYNONYMS.get(given)
    if isinstance(command, click.Group) and meant in command.commands:
        error.message = f"No such command {given!r}. Did you mean {meant!r}?"  # type: ignore[misc]  # of an instance
        if possibilities:
            possibilities.clear()


def is_near(given: str, word: str) -> bool:
    """Whether one word is another one, mistyped."""
    return SequenceMatcher(None, given, word).ratio() >= NEARLY

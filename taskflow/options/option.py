"""`Option`: all that is to be known about one option, in one value (pure)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Parse = Callable[[str, Any], Any]
"""From the option's name as it was written (for the error) and its value to the value as it is kept."""


class Scope(StrEnum):
    """Where options are written."""

    APP = "app"
    """`TaskFlow(...)`: for every task of the app."""
    TASK = "task"
    """`@app.task(...)`: for every call of the task."""
    CALL = "call"
    """`.options(...)` and `apply_async`: for the calls that are made with them."""
    MAP = "map"
    """The same, where `map` makes many calls with them."""


class Way(StrEnum):
    """How what an option says gets to whom it concerns."""

    MESSAGE = "message"
    """In a field of the stored message, where Go's programs read it, too."""
    HEADER = "header"
    """In a header of the message, as text: the message has no field for it."""
    SCRIPT = "script"
    """As an argument of the script that enqueues the task: it says when and whether, and is no part of the message."""
    CALLER = "caller"
    """Not at all: it is for the process that enqueues."""
    CODE = "code"
    """Not at all: workers have it from the code that they import."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option, as `table.py` has it. Whoever parses, merges, refuses, writes or documents options looks here.

    Args:
        name: what it is called here.
        doc: what it does: whole sentences, in Markdown.
        scopes: where it may be written.
        way: how it travels.
        key: the message's field, the header, or the script's argument; "" where it does not travel.
        parse: checks a value; None: it is no part of a layer of options, and is checked by whom it is for (the retry policy).
        unit: of what is given, in a few words.
        default: what holds where nobody gives it; None: nothing.
        aliases: other names under which it may be written, as Celery's, and where.
        rivals: options that say the same in another way. In one place they contradict each other; of two places the later wins.
        refuses: options with which it makes no sense, wherever each of them is given, with the reason.
        moment: the field that a datetime fills, where a number fills the one that is named as the option.
        always: the only value that it can have, since that holds here in any case; None: it can have others.
        adds_up: what later layers give is added to what earlier ones gave, instead of taking its place.
        celery: Celery's name for it, or for what is nearest; "": it has none.
        asynq: Asynq's.
    """

    name: str
    doc: str
    scopes: frozenset[Scope]
    way: Way
    key: str = ""
    parse: Parse | None = None
    unit: str = ""
    default: Any = None
    aliases: Mapping[str, frozenset[Scope]] = field(default_factory=dict)
    rivals: tuple[str, ...] = ()
    refuses: Mapping[str, str] = field(default_factory=dict)
    moment: str = ""
    adds_up: bool = False
    always: Any = None
    celery: str = ""
    asynq: str = ""

    @property
    def spellings(self) -> tuple[str, ...]:
        """All names under which it may be written."""
        return (self.name, *self.aliases)

    def is_for(self, spelling: str, scope: Scope) -> bool:
        """Whether it may be written there under this name."""
        return scope in self.aliases.get(spelling, self.scopes)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of a layer of options that hold it."""
        if self.parse is None:
            return ()
        return (self.name, self.moment) if self.moment else (self.name,)

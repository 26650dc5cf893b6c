"""A transition as a value: which script, which keys, which arguments, and what its reply means. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from ..connection.topology import Address
from .scripts import Script

T = TypeVar("T")

TIMEOUT = 4.0
"""Seconds that a command may take over reconnections, redirections and repetitions, unless the caller says
otherwise.
"""


@dataclass(slots=True)  # not frozen: with nine fields that costs a microsecond for each call
class Command(Generic[T]):
    """A call of a script: a value, never changed.

    `resend_flag` is the index in `args` of the flag that the retry loop raises when an earlier copy of this
    very call may have run; -1 for scripts that are idempotent by themselves. A `movable` command is given back
    when its node does not answer and nothing of it has reached that node: its caller can send it elsewhere.
    """

    script: Script
    keys: Sequence[str]
    args: Sequence[Any]
    parse: Callable[[Any], T]
    slot: int | None
    resend_flag: int = -1
    node: Address | None = None
    durable: bool = False
    movable: bool = False
    first_wire: tuple[Any, ...] | None = field(default=None, init=False)
    """The words of its first sending, where its builder has put them together; else `wire` does."""

    @property
    def name(self) -> str:
        """The script's name."""
        return self.script.name

    def wire(self, *, full: bool, resent: bool) -> tuple[Any, ...]:
        """The command's words: EVALSHA, or EVAL with the text where the node does not know the script yet."""
        args = self.again().args if resent else self.args
        if full:
            return ("EVAL", self.script.source, len(self.keys), *self.keys, *args)
        return ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *args)

    def again(self) -> Command[T]:
        """The same call, as one of which an earlier copy may have run."""
        if self.resend_flag < 0:
            return self
        args = [*self.args[: self.resend_flag], 1, *self.args[self.resend_flag + 1 :]]
        return replace(self, args=args)


@dataclass(frozen=True, slots=True)
class Plain(Generic[T]):
    """A plain command of the server, such as `SMEMBERS`: idempotent, so it may always be repeated."""

    words: Sequence[Any]
    parse: Callable[[Any], T]
    slot: int | None = None
    node: Address | None = None

    @property
    def first_wire(self) -> tuple[Any, ...] | None:
        """None: `wire` puts the words together."""
        return None

    @property
    def durable(self) -> bool:
        """Never: only scripts write what must last."""
        return False

    @property
    def movable(self) -> bool:
        """Never: it is for this node."""
        return False

    @property
    def name(self) -> str:
        """The command's name."""
        return str(self.words[0])

    def wire(self, *, full: bool, resent: bool) -> tuple[Any, ...]:
        """The command's words."""
        return tuple(self.words)

    def on(self, node: Address) -> Plain[T]:
        """The same command, for one node."""
        return replace(self, node=node)


def same(reply: Any) -> Any:
    """The parser of a reply that is already the value."""
    return reply

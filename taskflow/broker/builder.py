"""Builds the commands of a script by the names in its head: nobody counts positions, in Lua or in Python.

    -- keys:    pending, active, taken, task...
    -- args:    resent, worker, limit, task_prefix, item...
    -- item:    id, read

    _take = builder("take", "taken worker", limit=100)
    _item = item_of("take").getter()

    _take(keys, parse, task_keys, words, taken=keys.taken_by(worker), worker=worker)

`pending`, `active` and `task_prefix` are attributes of the queue's keys, `limit` is the same in all calls, `taken` and `worker`
are given in each, by name. All of it is compared with the head at import. The function that makes the command is written as a
dataclass gets its `__init__`: a call costs no more than if somebody had put keys and arguments in order by hand, which a
dictionary of names would (a microsecond and more, for each task that is enqueued). It is written at the first call, so that a
worker that starts does not wait for thirty of them; what every task needs is written `at_once`, and no call comes in between.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from .command import Command
from .keys import QueueKeys
from .scripts import Script, load

T = TypeVar("T")


class Build(Protocol):
    """What makes the commands of one script.

    Args:
        place: the keys of the queue, of the class that the builder was made for.
        parse: turns the reply into a value.
        keys: only where the head has such: those that take the rest.
        words: only where the head has such: the arguments that take the rest.
        durable: see `Command`.
        movable: see `Command`.
        given: what the builder was told that each call gives.
    """

    def __call__(self, place: Any, parse: Callable[[Any], T], *rest: Any, **given: Any) -> Command[T]:
        """A command; a TypeError where a name is missing or is not the script's."""


def builder(
    name: str, given: str = "", of: type[Any] = QueueKeys, *, at_once: bool = False, **constants: Any
) -> Build:
    """What makes the commands of a script.

    Args:
        name: the script.
        given: the names of what each call gives.
        of: the class of the keys that a call begins with; what the head names like one of their attributes is taken from there.
        at_once: write the function now, and not at the first call.
        constants: arguments that are the same in every call.

    Raises:
        ValueError: the head names something that nobody gives, or something is given that it does not name.
    """
    script = load(name)
    per_call = given.split()
    if "resent" in script.args:
        constants["resent"] = 0
    if unknown := {*per_call, *constants} - {*script.keys, *script.args}:
        raise ValueError(
            f"{name}.lua: its builder gives {', '.join(sorted(unknown))}, which its head does not name"
        )

    def source(one: str) -> str:
        if one in per_call:
            return one
        if one in constants:
            return f"constants_{one}"
        if one in of.__slots__:
            return f"place.{one}"
        raise ValueError(f"{name}.lua: its head names {one}, which its builder does not give")

    keys = [*map(source, script.keys), *(["*keys"] if script.rest_keys else [])]
    words = [*map(source, script.args), *(["*words"] if script.rest_args else [])]
    head = ["place", "parse"]
    head += ["keys=()"] if script.rest_keys else []
    head += ["words=()"] if script.rest_args else []
    head += ["*", *per_call, "durable=False", "movable=False"]
    resend_flag = script.args.index("resent") if "resent" in script.args else -1
    # What `Command(...)` would do, and the words of its first sending, which would else be put together by another call.
    text = f"""def build({", ".join(head)}):
        command = make(Command)
        command.script, command.parse, command.slot, command.node = script, parse, place.slot, None
        command.resend_flag, command.durable, command.movable = {resend_flag}, durable, movable
        command.keys = keys = [{", ".join(keys)}]
        command.args = args = [{", ".join(words)}]
        command.first_wire = ("EVALSHA", script.sha, len(keys), *keys, *args)
        return command"""
    scope = {
        "__name__": sys._getframe(1).f_globals["__name__"],  # it is part of the module that asks for it
        "Command": Command,
        "make": object.__new__,
        "script": script,
        **{f"constants_{one}": constants[one] for one in constants},
    }

    def write() -> Build:
        exec(compile(text, f"<builder of {name}.lua>", "exec"), scope)  # of nothing but names that a head has
        return scope["build"]  # type: ignore[no-any-return]

    if at_once:
        return write()
    written: Build | None = None

    def build(place: Any, parse: Callable[[Any], T], *rest: Any, **given: Any) -> Command[T]:
        nonlocal written
        if written is None:
            written = write()
        return written(place, parse, *rest, **given)

    return build


class Item:
    """What is in one group of a script's arguments, in the order of its head.

    Args:
        script: the script.
        names: in their order.
    """

    def __init__(self, script: Script, names: tuple[str, ...]) -> None:
        self._script = script
        self.names = names
        self._known = frozenset(names)

    def __call__(self, **values: Any) -> tuple[Any, ...]:
        """One group, from its values by name; a TypeError where one is missing or is not the item's."""
        if values.keys() != self._known:
            raise TypeError(
                f"An item of {self._script.name}.lua is {', '.join(self.names)}, not {', '.join(values)}"
            )
        return tuple(map(values.__getitem__, self.names))

    def getter(self, **attributes: str) -> Callable[[Any], tuple[Any, ...]]:
        """What makes a group from an object that has its values, and costs hardly more than to read them.

        Args:
            attributes: for a name the attribute of the object, where it is called otherwise.

        Raises:
            ValueError: one of these names is not the item's.
        """
        if unknown := attributes.keys() - set(self.names):
            raise ValueError(f"{self._script.name}.lua: no item of it has {', '.join(sorted(unknown))}")
        first, second, *others = (attributes.get(name, name) for name in self.names)
        return attrgetter(first, second, *others)

    def cut(self, name: str) -> tuple[Item, Item]:
        """What stands before a name, and what begins with it: for groups whose end is the same in many."""
        at = self.names.index(name)
        return Item(self._script, self.names[:at]), Item(self._script, self.names[at:])


def item_of(name: str) -> Item:
    """What is in one group of the arguments that take the rest of a script's."""
    script = load(name)
    return Item(script, script.items[script.rest_args])

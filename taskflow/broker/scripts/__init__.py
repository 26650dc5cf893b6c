"""Loads the Lua scripts: one transition each, with a head that names its keys and arguments.

The head is machine-read:

    -- What it does.
    -- moves:   pending -> active
    -- keys:    pending, active, lease, task...
    -- args:    owner, count, item...
    -- returns: ...

`keys:` and `args:` become named locals in front of the script, so no script says `KEYS[7]`. A last name with
dots takes the rest: `task...` makes `task_keys_from` the index of the first of them (in `args`, `item...`:
`item_argv_from`). `-- @include name` puts in `include/name.lua`.

All texts are in memory from the first use on: a process that runs for weeks outlives the folder that it was started from, and a
script that is missing, or one of the next release, would meet it at the worst moment, such as when leases are to be renewed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

_HEAD = re.compile(r"^-- (moves|keys|args|derives|returns|flags):\s*(.*)$")
_INCLUDE = re.compile(r"^-- @include (\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """A script as it is sent: its text with includes and locals, and the SHA-1 that servers know it by."""

    name: str
    moves: frozenset[tuple[str, str]]
    keys: tuple[str, ...]
    args: tuple[str, ...]
    source: str
    sha: str

    def check(self, keys: int, args: int) -> None:
        """Raise ValueError unless so many keys and arguments fit the head (for tests; builders are held to
        it).
        """
        for what, given, names in (("keys", keys, self.keys), ("args", args, self.args)):
            fixed = [name for name in names if not name.endswith("...")]
            fits = given >= len(fixed) if len(fixed) < len(names) else given == len(fixed)
            if not fits:
                raise ValueError(f"{self.name}.lua takes {what} {', '.join(names)}; it was given {given}")


@cache
def texts() -> Mapping[str, str]:
    """Every script and every include (`include/name`) as it stands in its file: a millisecond or two, once."""
    folder = resources.files(__name__)
    found = {}
    for prefix, place in (("", folder), ("include/", folder / "include")):
        for entry in place.iterdir():
            if entry.name.endswith(".lua"):
                found[prefix + entry.name.removesuffix(".lua")] = entry.read_text()
    return found


@cache
def load(name: str) -> Script:
    """The script `name`, put together once."""
    known = texts()
    text = known[name]
    head: dict[str, str] = {}
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        if match := _HEAD.match(line):
            head[match[1]] = match[2].strip()
    missing = {"moves", "keys", "args", "returns"} - head.keys()
    if missing:
        raise ValueError(f"{name}.lua: its head lacks {', '.join(sorted(missing))}")
    body = _INCLUDE.sub(lambda match: known[f"include/{match[1]}"], text)
    keys, args = _names(head["keys"]), _names(head["args"])
    flags = f"#!lua flags={head['flags']}\n" if head.get("flags") else "#!lua\n"
    source = flags + _locals("KEYS", keys) + _locals("ARGV", args) + _code(body)
    return Script(name, _moves(head["moves"]), keys, args, source, hashlib.sha1(source.encode()).hexdigest())


def names() -> list[str]:
    """Every script there is."""
    return sorted(name for name in texts() if "/" not in name)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip() and part.strip() != "-")


def _moves(text: str) -> frozenset[tuple[str, str]]:
    pairs = [tuple(side.strip() for side in part.split("->")) for part in text.split(",") if "->" in part]
    return frozenset((pair[0], pair[1]) for pair in pairs)


def _locals(table: str, listed: tuple[str, ...]) -> str:
    lines = []
    for index, name in enumerate(listed, start=1):
        if name.endswith("..."):
            lines.append(f"local {name[:-3]}_{table.lower()}_from = {index}\n")
        else:
            lines.append(f"local {name} = {table}[{index}]\n")
    return "".join(lines)


def _code(text: str) -> str:
    """The script without its comments and blank lines: less to send where a node must be taught it."""
    return "".join(
        line + "\n" for line in text.splitlines() if line.strip() and not line.lstrip().startswith("--")
    )

"""Loads the Lua scripts: one transition each, with a head that names its keys and arguments.

The head is machine-read:

    -- What it does.
    -- moves:   pending -> active
    -- keys:    pending, active, lease, task...
    -- args:    worker, count, item...
    -- item:    id, message
    -- returns: ...

`keys:` and `args:` become named locals in front of the script, so no script says `KEYS[7]`. A last name with
dots takes the rest: `task...` makes `task_keys_from` the index of the first of them (in `args`, `item...`:
`item_argv_from`). Where such arguments come in groups of several, a line with their name (`item:`) lists what is in one: then
`item_size` says how many that are, and `-- @read item at` in the script becomes `local id, message = ARGV[at], ARGV[at + 1]`.
`-- @include name` puts in `include/name.lua`. Python gives all of them by these names, too: `broker/builder.py`. What stands for
something else, in arguments or replies, has a name in both languages: `broker/words.py`.

All texts are read with the first script that a builder asks for, which is at import, and kept in memory. A worker may run for
weeks, and a deployment may meanwhile remove the folder that it was started from, or put the next release there. A script read
only then would be missing, or not fit the code.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..words import put_in

_HEAD = re.compile(r"^-- ([a-z_]+):\s*(.*)$")
_LINES = frozenset({"moves", "keys", "args", "derives", "returns", "flags"})
_INCLUDE = re.compile(r"^-- @include (\w+)$", re.MULTILINE)
_READ = re.compile(r"^( *)-- @read (\w+) (\w+)$", re.MULTILINE)
_NO_CODE = re.compile(r"^[ \t]*(?:--.*)?\n", re.MULTILINE)


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """A script as it is sent, and what its head says.

    `source` is the text with includes and locals, `sha` the SHA-1 that servers know it by. `rest_keys` and `rest_args` are the
    last names, without their dots, of those that take the rest ("" where none does); `items` has the names in one group of it.
    """

    name: str
    moves: frozenset[tuple[str, str]]
    keys: tuple[str, ...]
    args: tuple[str, ...]
    rest_keys: str
    rest_args: str
    items: Mapping[str, tuple[str, ...]]
    source: str
    sha: str

    def check(self, keys: int, args: int) -> None:
        """Raise ValueError unless so many keys and arguments fit the head (for tests)."""
        for what, given, names, rest in (
            ("keys", keys, self.keys, self.rest_keys),
            ("args", args, self.args, self.rest_args),
        ):
            more = given - len(names)
            fits = more == 0 if not rest else more >= 0 and more % len(self.items.get(rest, (rest,))) == 0
            if not fits:
                listed = ", ".join((*names, f"{rest}...") if rest else names)
                raise ValueError(f"{self.name}.lua takes {what} {listed}; it was given {given}")


@cache
def texts() -> Mapping[str, str]:
    """Every script and every include (`include/name`) as it stands in its file: a millisecond, once."""
    folder = Path(__file__).parent
    found = {}
    for prefix, place in (("", folder), ("include/", folder / "include")):
        for path in place.glob("*.lua"):
            found[prefix + path.stem] = path.read_text()
    return found


@cache
def load(name: str) -> Script:
    """The script `name`, put together once."""
    known = texts()
    head = _head(name)
    keys, rest_keys = _names(head["keys"])
    args, rest_args = _names(head["args"])
    items = {rest: _names(head[rest])[0] for rest in (rest_keys, rest_args) if rest in head}
    if unknown := head.keys() - _LINES - items.keys():
        raise ValueError(f"{name}.lua: its head has a line {', '.join(sorted(unknown))}, which means nothing")

    def reading(match: re.Match[str]) -> str:
        if match[2] not in items:
            raise ValueError(f"{name}.lua reads {match[2]}, and its head does not say what is in one")
        return match[1] + _reading(items[match[2]], match[3])

    body = _INCLUDE.sub(lambda match: known[f"include/{match[1]}"], known[name])
    source = (
        (f"#!lua flags={head['flags']}\n" if head.get("flags") else "#!lua\n")
        + _locals("KEYS", keys, rest_keys)
        + _locals("ARGV", args, rest_args)
        + "".join(f"local {item}_size = {len(listed)}\n" for item, listed in items.items())
        + put_in(name, _code(_READ.sub(reading, body)))
    )
    sha = hashlib.sha1(source.encode()).hexdigest()
    return Script(name, _moves(head["moves"]), keys, args, rest_keys, rest_args, items, source, sha)


def names() -> list[str]:
    """Every script there is."""
    return sorted(name for name in texts() if "/" not in name)


def _head(name: str) -> dict[str, str]:
    """The lines of the head, which ends with the first comment that is empty, or with the first line of code."""
    lines: dict[str, str] = {}
    for line in texts()[name].splitlines():
        if not line.startswith("-- "):
            break
        if match := _HEAD.match(line):
            lines[match[1]] = match[2].strip()
    if missing := {"moves", "keys", "args", "returns"} - lines.keys():
        raise ValueError(f"{name}.lua: its head lacks {', '.join(sorted(missing))}")
    return lines


def _names(text: str) -> tuple[tuple[str, ...], str]:
    """The names of a line, and the one that takes the rest ("" if none does)."""
    listed = [part.strip() for part in text.split(",") if part.strip() and part.strip() != "-"]
    rest = listed.pop().removesuffix("...") if listed and listed[-1].endswith("...") else ""
    return tuple(listed), rest


def _moves(text: str) -> frozenset[tuple[str, str]]:
    pairs = [tuple(side.strip() for side in part.split("->")) for part in text.split(",") if "->" in part]
    return frozenset((pair[0], pair[1]) for pair in pairs)


def _locals(table: str, listed: tuple[str, ...], rest: str) -> str:
    lines = [f"local {name} = {table}[{index}]\n" for index, name in enumerate(listed, start=1)]
    if rest:
        lines.append(f"local {rest}_{table.lower()}_from = {len(listed) + 1}\n")
    return "".join(lines)


def _reading(listed: tuple[str, ...], at: str) -> str:
    """What `-- @read item at` stands for."""
    words = (f"ARGV[{at} + {index}]" if index else f"ARGV[{at}]" for index in range(len(listed)))
    return f"local {', '.join(listed)} = {', '.join(words)}"


def _code(text: str) -> str:
    """The script without its comments and blank lines: less to send to a node that does not know it yet."""
    return _NO_CODE.sub("", text if text.endswith("\n") else text + "\n")

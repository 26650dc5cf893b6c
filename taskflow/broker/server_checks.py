"""Whether a server is fit to keep tasks, by its `INFO` (pure): what the doctor says, and a worker at its start.

Its version must have what the scripts need, its Lua must have no known hole by which a script breaks out, and it must not delete
keys when its memory is full.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

TOO_OLD = "server-too-old"

OLDEST_REDIS = (7, 0)
"""The scripts need what came with Redis 7.0; every Valkey has it."""

_FIXED_IN: Mapping[str, Mapping[tuple[int, int], int]] = {
    "Redis": {(6, 2): 20, (7, 2): 11, (7, 4): 6, (8, 0): 4, (8, 2): 2},
    "Valkey": {(7, 2): 11, (8, 0): 6, (8, 1): 4},
}
"""The patch level of each line that ends CVE-2025-49844, -46817, -46818 and -46819. Later lines began with it."""


@dataclass(frozen=True, slots=True)
class ServerVersion:
    """What a server says that it is."""

    product: str
    number: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.product} {'.'.join(map(str, self.number))}"

    @property
    def is_too_old(self) -> bool:
        """Whether the scripts cannot run there."""
        return self.product == "Redis" and self.number[:2] < OLDEST_REDIS

    @property
    def is_unsafe(self) -> bool:
        """Whether a script may break out of the server's Lua (CVE-2025-49844, "RediShell")."""
        lines = _FIXED_IN[self.product]
        line, patch = self.number[:2], self.number[2]
        return patch < lines[line] if line in lines else line < max(lines)

    @property
    def fixed_in(self) -> str:
        """The versions to upgrade to."""
        lines = _FIXED_IN[self.product].items()
        return ", ".join(f"{major}.{minor}.{patch}" for (major, minor), patch in lines if major >= 7)


def version_of(info: Mapping[str, str]) -> ServerVersion | None:
    """The version in the reply of `INFO`; None when it says none.

    Example:
        >>> str(version_of({"redis_version": "7.2.4", "valkey_version": "8.1.3"}))
        'Valkey 8.1.3'
    """
    product = "Valkey" if info.get("valkey_version") else "Redis"
    text = info.get("valkey_version") or info.get("redis_version", "")
    if not re.match(r"\d+\.\d+", text):
        return None
    major, minor, patch = [*map(int, re.findall(r"\d+", text)), 0][:3]
    return ServerVersion(product, (major, minor, patch))


def parse_info(reply: bytes) -> dict[str, str]:
    """Read the lines of `name:value` of `INFO`."""
    lines = reply.decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


@dataclass(frozen=True, slots=True)
class Defect:
    """Something that makes a server unfit. `grave`: it loses tasks, or cannot run any; else it only might."""

    code: str
    what: str
    remedy: str
    grave: bool


def defects(info: Mapping[str, str]) -> Iterator[Defect]:
    """What is wrong with a server.

    Example:
        >>> [one.code for one in defects({"redis_version": "6.2.7", "maxmemory_policy": "noeviction"})]
        ['server-too-old', 'unsafe-lua']
    """
    version = version_of(info)
    if version is not None and version.is_too_old:
        what = f"{version} cannot run taskflow's scripts"
        yield Defect(TOO_OLD, what, "upgrade to Redis 7.0 or newer, or any Valkey", grave=True)
    if version is not None and version.is_unsafe:
        yield Defect(
            "unsafe-lua",
            f"{version} has a Lua engine that lets whoever may run a script take over the server (CVE-2025-49844)",
            f"upgrade to {version.fixed_in}, or newer",
            grave=True,
        )
    policy = info.get("maxmemory_policy", "noeviction")
    remedy = "CONFIG SET maxmemory-policy noeviction, and in the configuration file"
    if policy != "noeviction" and int(info.get("maxmemory") or 0):
        what = (
            f"maxmemory-policy is {policy}: when its memory is full the server deletes tasks, locks or leases"
        )
        yield Defect("eviction", what, remedy, grave=True)
    elif policy != "noeviction":
        what = f"maxmemory-policy is {policy}: it deletes tasks as soon as somebody sets maxmemory"
        yield Defect("eviction-possible", what, remedy, grave=False)

"""A few of the server's commands in plain Python: what the model of a queue is kept in.

A value that only the server knows exactly (a time) is `About` it; once compared, the server's own value takes its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SLACK = 2.0
"""Seconds that a time of the server's may differ from ours: it is rounded, and a command takes a while."""


@dataclass(frozen=True)
class About:
    """A number that may differ by `slack`; `unit` is how many of it make a second."""

    value: float
    slack: float = SLACK
    unit: float = 1

    def fits(self, actual: Any) -> bool:
        return abs(float(actual) / self.unit - self.value) <= self.slack


class Store:
    """Keys and their values: a list, a set, a dict of scores (sorted set), a dict of bytes (hash), or bytes.

    `expiry` has the Unix time at which a key ends.
    """

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}
        self.expiry: dict[str, float] = {}

    def run(self, *words: Any) -> Any:
        """Run one command: `run("HSET", key, "state", "pending")`."""
        name = words[0].lower()
        command: Callable[..., Any] = getattr(self, "delete" if name == "del" else name)
        reply = command(*words[1:])
        self._drop_empty(str(words[1]))
        return reply

    def _drop_empty(self, key: str) -> None:
        if key in self.keys and not isinstance(self.keys[key], bytes) and not self.keys[key]:
            self.delete(key)

    # --- keys and strings --------------------------------------------------------------------------------------------

    def delete(self, key: str) -> bool:
        self.expiry.pop(key, None)
        return self.keys.pop(key, None) is not None

    def set(self, key: str, value: Any, *_: Any) -> None:
        self.expiry.pop(key, None)
        self.keys[key] = value if isinstance(value, About) else _bytes(value)

    def incrby(self, key: str, by: int) -> int:
        value = int(self.keys.get(key, b"0")) + by
        self.keys[key] = b"%d" % value
        return value

    def expireat(self, key: str, at: float) -> None:
        if key in self.keys:
            self.expiry[key] = at

    # --- lists -------------------------------------------------------------------------------------------------------

    def elements(self, key: str) -> list[str]:
        return self.keys.get(key, [])  # type: ignore[no-any-return]

    def lpush(self, key: str, *ids: str) -> None:
        self.keys[key] = [*reversed(ids), *self.elements(key)]

    def rpush(self, key: str, *ids: str) -> None:
        self.keys[key] = [*self.elements(key), *ids]

    def rpop(self, key: str) -> str | None:
        value = self.elements(key)
        return value.pop() if value else None

    def lrem(self, key: str, count: int, member: str) -> int:
        """`count` 0: everywhere; -1: the last."""
        value = self.elements(key)
        at = [index for index, one in enumerate(value) if one == member]
        gone = at if count == 0 else at[-1:]
        self.keys[key] = [one for index, one in enumerate(value) if index not in gone]
        return len(gone)

    # --- hashes ------------------------------------------------------------------------------------------------------

    def hash(self, key: str) -> dict[str, Any]:
        return self.keys.get(key, {})  # type: ignore[no-any-return]

    def hset(self, key: str, *pairs: Any) -> None:
        fields = self.keys.setdefault(key, {})
        for name, value in zip(pairs[::2], pairs[1::2], strict=True):
            fields[name] = value if isinstance(value, About) else _bytes(value)

    def hsetnx(self, key: str, name: str, value: Any) -> None:
        if name not in self.hash(key):
            self.hset(key, name, value)

    def hdel(self, key: str, *names: str) -> None:
        for name in names:
            self.hash(key).pop(name, None)

    def hincrby(self, key: str, name: str, by: int) -> None:
        self.hset(key, name, int(self.hash(key).get(name, 0)) + by)

    # --- sets --------------------------------------------------------------------------------------------------------

    def members(self, key: str) -> set[str]:
        return self.keys.get(key, set())  # type: ignore[no-any-return]

    def sadd(self, key: str, *names: str) -> None:
        self.keys[key] = self.members(key) | set(names)

    def srem(self, key: str, *names: str) -> int:
        before = self.members(key)
        self.keys[key] = before - set(names)
        return len(before) - len(self.keys[key])

    # --- sorted sets -------------------------------------------------------------------------------------------------

    def scores(self, key: str) -> dict[str, Any]:
        return self.keys.get(key, {})  # type: ignore[no-any-return]

    def ranked(self, key: str) -> list[str]:
        """Members by score; equal scores by name, as the server has them."""
        scores = self.scores(key)
        return sorted(scores, key=lambda member: (_number(scores[member]), member.encode()))

    def zadd(self, key: str, score: Any, member: str) -> None:
        self.keys.setdefault(key, {})[member] = score

    def zrem(self, key: str, member: str) -> int:
        return int(self.scores(key).pop(member, None) is not None)

    def has(self, key: str) -> bool:
        self._drop_empty(key)
        return key in self.keys

    # --- comparing -----------------------------------------------------------------------------------------------------

    def differences(self, actual: dict[str, Any], ttls: dict[str, int], now: float) -> list[str]:
        """What is otherwise on the server; and take over the server's own times."""
        for key in list(self.keys):
            self._drop_empty(key)
        found = [
            f"{key}: the server has {actual[key]!r}, the model nothing"
            for key in actual.keys() - self.keys.keys()
        ]
        found += [
            f"{key}: the model has {self.keys[key]!r}, the server nothing"
            for key in self.keys.keys() - actual.keys()
        ]
        for key in self.keys.keys() & actual.keys():
            if not self._adopt(key, actual[key]):
                found.append(f"{key}: the server has {actual[key]!r}, the model {self.keys[key]!r}")
            ends = self.expiry.get(key)
            left = ttls[key]
            if (ends is None) != (left < 0) or (ends is not None and abs(now + left - ends) > SLACK + 1):
                found.append(f"{key}: ends in {left} s, in the model {ends and ends - now} s")
        return sorted(found)

    def _adopt(self, key: str, actual: Any) -> bool:
        expected = self.keys[key]
        if isinstance(expected, About):
            if not expected.fits(actual):
                return False
            self.keys[key] = actual
            return True
        if not isinstance(expected, dict) or not isinstance(actual, dict) or expected.keys() != actual.keys():
            return bool(expected == actual)
        for name, value in expected.items():
            if isinstance(value, About):
                if not value.fits(actual[name]):
                    return False
                expected[name] = actual[name]
        return expected == actual


def _number(value: Any) -> float:
    return value.value if isinstance(value, About) else float(value)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()

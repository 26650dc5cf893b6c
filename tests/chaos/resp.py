"""Cuts a stream into whole values of the Redis protocol, and names commands (no I/O)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache

from taskflow.broker.scripts import load, names

from .plants import planted_names

_SIZED = frozenset(b"$=!")
_NESTED = {ord("*"): 1, ord("~"): 1, ord(">"): 1, ord("%"): 2}


class Splitter:
    """Takes bytes as they come and gives whole values, unread, as the bytes that they are.

    Example:
        >>> splitter = Splitter()
        >>> list(splitter.feed(b"+OK\\r\\n*2\\r\\n$1\\r\\na\\r\\n"))
        [b'+OK\\r\\n']
        >>> list(splitter.feed(b":7\\r\\n"))
        [b'*2\\r\\n$1\\r\\na\\r\\n:7\\r\\n']
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._open = 1  # values that still belong to the one being read

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add bytes; every value that is whole now."""
        self._buffer += data
        while self._read_one():
            frame = bytes(self._buffer[: self._at])
            del self._buffer[: self._at]
            self._at, self._open = 0, 1
            yield frame

    @property
    def pending(self) -> bytes:
        """What has come of a value that is not whole."""
        return bytes(self._buffer)

    def _read_one(self) -> bool:
        while self._open:
            line_end = self._buffer.find(b"\r\n", self._at)
            if line_end < 0:
                return False
            kind, after = self._buffer[self._at], line_end + 2
            if kind in _SIZED:
                length = int(self._buffer[self._at + 1 : line_end])
                if length >= 0:
                    after += length + 2
                if len(self._buffer) < after:
                    return False
            elif kind in _NESTED:
                self._open += max(int(self._buffer[self._at + 1 : line_end]), 0) * _NESTED[kind]
            self._at = after
            self._open -= 1
        return True


def command(frame: bytes) -> str:
    """What a request is called: the script's name for EVALSHA and EVAL, else the command in capitals.

    Example:
        >>> command(b"*1\\r\\n$4\\r\\nping\\r\\n")
        'PING'
    """
    words = _words(frame, 2)
    name = words[0].decode("ascii", "replace").upper() if words else ""
    if len(words) == 2 and name in ("EVALSHA", "EVAL"):
        sha = words[1].decode("ascii", "replace") if name == "EVALSHA" else hashlib.sha1(words[1]).hexdigest()
        return script_names().get(sha, "unknown script")
    return name


@lru_cache(maxsize=1)
def script_names() -> dict[str, str]:
    """The names of taskflow's scripts by their SHA-1, and of those with a planted bug."""
    return planted_names() | {load(name).sha: name for name in names()}


def _words(frame: bytes, count: int) -> list[bytes]:
    """The first words of a request."""
    words: list[bytes] = []
    at = frame.find(b"\r\n") + 2
    while len(words) < count and at < len(frame) and frame[at : at + 1] == b"$":
        line_end = frame.index(b"\r\n", at)
        begin, length = line_end + 2, int(frame[at + 1 : line_end])
        words.append(frame[begin : begin + length])
        at = begin + length + 2
    return words

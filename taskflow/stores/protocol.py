"""What a store has to have."""

from __future__ import annotations

from typing import Protocol


class Store(Protocol):
    """Where large payloads and results are kept. What it raises besides is the error of the call or of the attempt.

    Called from any thread, from several at once, and from every process that enqueues, runs tasks or reads results. Keys are made
    of letters, digits and `-_.~%`, with `/` between their parts; no two things ever have the same one.
    """

    def put(self, key: str, data: bytes) -> None:
        """Keep this under the key, which is new. When it returns, every other process can get it."""

    def get(self, key: str) -> bytes:
        """What is kept under the key; raises KeyError if nothing is."""

    def delete(self, key: str) -> None:
        """Keep it no more; that there is nothing under the key is no error."""

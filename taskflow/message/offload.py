"""Large payloads and results outside the broker: in a store, with a reference in their place.

What is kept there is exactly what the broker would hold otherwise: compressed, encrypted, or neither. The reference has its size
and its hash, and a signature is over the reference, so nothing that is changed in the store goes unnoticed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from os import urandom
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from taskflow.errors import BrokerError, InvalidOption, NotForThisWorker, StoredContentError, StoreError

if TYPE_CHECKING:
    # For the start: few apps have a store.
    from taskflow.stores.protocol import Store

DEFAULT_OVER = 128 * 1024
"""Bytes over which a payload or a result is kept in the store."""

LONGEST_ENQUEUE = 300.0
"""Seconds that enqueueing a task may take whose payload is in the store already."""

OVERHEAD = 1024
"""Bytes that encryption and marks add to what is limited as it is without them."""

STORED = b"\0tfs1"
"""The first bytes of a result that is kept in a store; the reference follows. No JSON and no text begins with them."""

_LONGEST = 200
"""Characters of a name in a key: S3 has 1024 bytes for all of it, most file systems 255 for each part."""


class Reference(msgspec.Struct, frozen=True):
    """What stands in the place of the bytes.

    Args:
        taskflow_store: the key.
        size: how many bytes they are.
        sha256: their hash, in hexadecimal digits.
    """

    taskflow_store: str
    size: int
    sha256: str


_decode = msgspec.json.Decoder(Reference).decode


class Offload:
    """What an app keeps in its store.

    Args:
        store: where.
        over: bytes over which a payload or a result is kept there.
        note: told of the queue, the task's id and the key before anything is put, so that it is found when its task is gone.

    Raises:
        InvalidOption: that is no store, or no number of bytes.
    """

    def __init__(
        self,
        store: Store,
        over: int = DEFAULT_OVER,
        note: Callable[[str, str, str], None] = lambda queue, id, key: None,
    ) -> None:
        missing = [name for name in ("put", "get", "delete") if not callable(getattr(store, name, None))]
        if missing:
            raise InvalidOption(
                f"a store has put, get and delete; {type(store).__name__} has no {missing[0]}"
            )
        if isinstance(over, bool) or not isinstance(over, int) or over < 0:
            raise InvalidOption("store_over must be a number of bytes, from 0")
        self.store = store
        self.over = over
        self._note = note

    def put(self, purpose: str, queue: str, id: str, data: bytes) -> bytes | None:
        """Keep this in the store, if it is large.

        Args:
            purpose: what it is: `payload` or `result`.
            queue: of the task.
            id: of the task.
            data: as the broker would hold it.

        Returns:
            The reference to it; None: it stays where it is.

        Raises:
            StoreError: the store did not take it. The cause is what it has raised.
        """
        if len(data) <= self.over:
            return None
        key = f"{_folder(queue, id)}{purpose}-{urandom(8).hex()}"
        began = time.monotonic()
        try:
            self._note(queue, id, key)
        except BrokerError:
            if purpose == "payload":
                raise
            return None  # the task has run: its verdict finds the broker again, and takes the result with it
        try:
            self.store.put(key, data)
        except Exception as error:
            raise StoreError(
                f"the store ({type(self.store).__name__}) did not take the {purpose} of task {id!a}: {type(error).__name__}"
            ) from error
        if purpose == "payload" and time.monotonic() - began > LONGEST_ENQUEUE:
            raise StoreError(
                f"the store ({type(self.store).__name__}) took over {LONGEST_ENQUEUE:g} s for the payload of task {id!a}: what "
                "waits longer for its task is taken for garbage"
            )
        return msgspec.json.encode(Reference(key, len(data), hashlib.sha256(data).hexdigest()))

    def get(self, reference: bytes, queue: str, id: str, most: int) -> bytes:
        """What a reference stands for.

        Args:
            reference: what `put` returned.
            queue: where the task was found.
            id: under which id.
            most: bytes that it may have.

        Raises:
            StoredContentError: it is not there, is not what was put there, or belongs to another task.
        """
        try:
            found = _decode(reference)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise StoredContentError("says that it is kept in a store, and has no reference to it") from None
        if not found.taskflow_store.startswith(_folder(queue, id)) or ".." in found.taskflow_store:
            raise StoredContentError("refers to what the store keeps for another task")
        if found.size > most:
            raise StoredContentError(f"is {found.size:,} bytes in the store, over the limit of {most:,}")
        try:
            data = self.store.get(found.taskflow_store)
        except KeyError:
            raise StoredContentError("is kept in the store, which does not have it (any more)") from None
        if len(data) != found.size or hashlib.sha256(data).hexdigest() != found.sha256:
            raise StoredContentError("was changed in the store")
        return data


def no_store() -> NotForThisWorker:
    """For what is kept in a store, where the app has none."""
    return NotForThisWorker("is kept in a store, and this app has none (TaskFlow(store=...))")


def _folder(queue: str, id: str) -> str:
    return f"{_part(queue)}/{_part(id)}/"


def _part(name: str) -> str:
    """A name as a part of a key. A dot at the start would make it a hidden file, or the folder above."""
    quoted = quote(name.encode("utf-8", "surrogateescape"), safe="")
    if quoted.startswith("."):
        quoted = "%2E" + quoted[1:]
    return quoted if len(quoted) <= _LONGEST else "~" + hashlib.sha256(quoted.encode()).hexdigest()

"""What a worker and the process that forks its children say to each other (`--preload`); each is one packet.

With `Fork` come two descriptors: the child's end of its socket, and the memory of its marks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

LONGEST_TEXT = 20_000
"""Characters of a text in one packet: there is a limit to its size."""

LONGEST_PACKET = 1 << 18


class Fork(msgspec.Struct, tag="fork", frozen=True):
    """Fork a child.

    Args:
        slots: how many tasks it runs at once.
        main_thread: whether it runs them in its main thread.
        most: bytes that a result may have.
    """

    slots: int
    main_thread: bool
    most: int


class Ready(msgspec.Struct, tag="ready", frozen=True):
    """The app is imported."""


class Unfit(msgspec.Struct, tag="unfit", frozen=True):
    """The app is imported, and this process must not be forked; `why` ends the sentence "the import of the app ..."."""

    why: str


class Failed(msgspec.Struct, tag="failed", frozen=True):
    """The app could not be imported; see `frames.ImportFailed`."""

    error: str
    traceback: str = ""


class Forked(msgspec.Struct, tag="forked", frozen=True):
    """A child runs, and is the worker's own; or, where there is an error, it does not."""

    pid: int
    error: str = ""


FromTemplate = Ready | Unfit | Failed | Forked

_encoder = msgspec.msgpack.Encoder()
_from_template: Callable[[bytes], FromTemplate] = msgspec.msgpack.Decoder(FromTemplate).decode
_fork: Callable[[bytes], Fork] = msgspec.msgpack.Decoder(Fork).decode


def packet(value: Any) -> bytes:
    """A value as it goes on the socket."""
    return _encoder.encode(value)


def decode_from_template(data: bytes) -> FromTemplate:
    """What the process that forks says.

    Raises:
        msgspec.MsgspecError: it is nothing that we know.
    """
    return _from_template(data)


def decode_fork(data: bytes) -> Fork:
    """What the worker says."""
    return _fork(data)


def shortened(text: str) -> str:
    """The end of a text that is too long for a packet."""
    return text if len(text) <= LONGEST_TEXT else "..." + text[-LONGEST_TEXT:]

"""What a payload is: the value of the header `taskflow-content-type`, taken apart (pure).

A kind, and behind it what was done to the bytes, in the order in which it was done: `application/json; compression=zstd;
encryption=xaes-256-gcm; location=store`. Whoever reads them goes back the same way.
"""

from __future__ import annotations

from taskflow.errors import NotForThisWorker
from taskflow.message.task_message import TaskMessage

CONTENT_TYPE_HEADER = "taskflow-content-type"
"""Says what the payload is. Without it: `application/json`."""

COMPRESSION_HEADER = "taskflow-compression"
"""How whoever enqueues wants the payload, and the result, to be compressed, if they are large."""

JSON = "application/json"
MSGPACK = "application/msgpack"
CLOUDPICKLE = "application/x-cloudpickle"

ENCRYPTED = "; encryption=xaes-256-gcm"
"""What is added to the content type of a payload that is encrypted."""

COMPRESSED = "; compression="
"""The same for one that is compressed; the method follows."""

IN_STORE = "; location=store"
"""The same for one that is kept in a store: the bytes are a reference to it."""


class Content:
    """What a payload is.

    Args:
        kind: the value of the header.

    Raises:
        NotForThisWorker: something was done to it that this version does not know.

    Example:
        >>> Content("application/json; compression=zstd").compression
        'zstd'
    """

    __slots__ = ("base", "compression", "encrypted", "is_stored")

    def __init__(self, kind: str) -> None:
        self.base, *steps = kind.split("; ")
        self.encrypted = False
        self.compression = ""
        self.is_stored = False
        for step in steps:
            if f"; {step}" == ENCRYPTED:
                self.encrypted = True
            elif f"; {step}" == IN_STORE:
                self.is_stored = True
            elif f"; {step}".startswith(COMPRESSED):
                self.compression = step.partition("=")[2]
            else:
                raise NotForThisWorker("is packed in a way that this version does not know")


def is_in_store(message: TaskMessage) -> bool:
    """Whether a message says that its payload is in a store, wherever in its content type."""
    return IN_STORE in message.headers.get(CONTENT_TYPE_HEADER, "")

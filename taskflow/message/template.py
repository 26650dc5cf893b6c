"""`MessageTemplate`: the messages of one task, of which all but id, arguments and lock is encoded once (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from taskflow.message.task_message import TaskMessage

_NOTHING = TaskMessage(type="", payload=None, id="", queue="", max_retries=0)

_PAYLOAD, _ID, _UNIQUE_KEY = b"\x12", b"\x1a", b"\x52"
"""Tags of the fields 2, 3 and 10, each of which has a length in front of its bytes."""

_SHORT = [bytes([length]) for length in range(128)]
"""A length under 128 is one byte."""


class MessageTemplate:
    """Writes messages that are alike but for id, payload and lock.

    The fields of a message stand in the order of their numbers, so what is the same in all of them is four pieces of
    bytes between those that differ. The result is byte for byte what `TaskMessage.encode` writes.

    Args:
        message: one of them; its id, payload and lock do not matter.

    Raises:
        InvalidOption: it cannot be written.

    Example:
        >>> message = TaskMessage(type="noop", payload=None, id="x", queue="default", timeout=1800)
        >>> MessageTemplate(message).encode("x", b"")[0] == message.encode()
        True
    """

    __slots__ = ("_after_id", "_after_lock", "_before", "_fixed_identity", "_last")

    def __init__(self, message: TaskMessage) -> None:
        type_ = replace(_NOTHING, type=message.type).encode()
        queue = replace(_NOTHING, queue=message.queue).encode()
        limits = replace(
            _NOTHING,
            max_retries=message.max_retries,
            retried=message.retried,
            error_msg=message.error_msg,
            timeout=message.timeout,
            deadline=message.deadline,
        )
        self._last = replace(
            _NOTHING,
            last_failed_at=message.last_failed_at,
            retention=message.retention,
            completed_at=message.completed_at,
            group_key=message.group_key,
        )
        self._before = type_
        self._after_id = queue + limits.encode()
        self._after_lock = replace(self._last, headers=message.headers).encode()
        self._fixed_identity = len(type_) + len(queue)

    def encode(
        self, id: str, payload: bytes, lock: str = "", headers: Mapping[str, str] | None = None
    ) -> tuple[bytes, int]:
        """Write one message.

        Args:
            id: its id, valid Unicode.
            payload: its encoded arguments.
            lock: the whole key of its lock; "" for none.
            headers: if it has other headers than the others, as a signature.

        Returns:
            What `TaskMessage.encode` and `TaskMessage.identity_size` return for it.
        """
        name, size = id.encode(), len(payload)
        if size < 128 and 0 < len(name) < 128:  # nearly always; what `_field` does
            start = _PAYLOAD + _SHORT[size] + payload if size else b""
            before_queue = start + _ID + _SHORT[len(name)] + name
        else:
            before_queue = _field(_PAYLOAD, payload) + _field(_ID, name)
        identity = self._fixed_identity + len(before_queue)
        end = self._after_lock if headers is None else replace(self._last, headers=headers).encode()
        if lock:
            end = _field(_UNIQUE_KEY, lock.encode()) + end
        return b"".join((self._before, before_queue, self._after_id, end)), identity


def _field(tag: bytes, value: bytes) -> bytes:
    """A field with its length; nothing when it is empty, as protobuf's version 3 leaves defaults out."""
    size = len(value)
    if size < 128:
        return tag + _SHORT[size] + value if size else b""
    length = bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    length.append(size)
    return tag + bytes(length) + value
